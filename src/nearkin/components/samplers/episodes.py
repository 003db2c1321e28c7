"""Episodes: a few classes, a little support and some queries of each (Vinyals et al. 2016, section 3.2)."""

from __future__ import annotations

import math

import numpy as np

from nearkin.components.samplers.members import Members
from nearkin.components.samplers.options import EpisodesOptions
from nearkin.contracts import Batch, Build, Episode, IntArray, parent_of
from nearkin.errors import DataError, listing


class Episodes:
    """Batches of n_way * (n_shot + n_query) items, each a function of labels, options, seed and step alone."""

    def __init__(self, options: EpisodesOptions, build: Build) -> None:
        self.ways, self.shots = as_range(options.n_way), as_range(options.n_shot)
        self.n_query = options.n_query
        self.seed = build.seed
        self.members = Members.of(build)
        most = self.shots[1] + self.n_query
        self.members.require(most, build, sampler="episodes", why=f"{self.shots[1]} support, {self.n_query} query")
        self.pools = pools_of(build.classes, options.within)
        _require_classes(self.pools, self.ways[0])
        sizes = [len(pool) for pool in self.pools.values()]
        self._pools = list(self.pools.values())
        # A parent comes as often as it has classes, so that every class comes equally often; where one has fewer than
        # may be asked for, its episodes take fewer at a time, and there are more of them.
        self._bounds = np.cumsum(sizes)
        taken = np.array([self.ways[0] + min(self.ways[1], size) for size in sizes])
        weights = np.array(sizes) / taken
        self._shares = None if len(set(taken.tolist())) == 1 else weights / weights.sum()
        per_episode = sum(self.ways) / 2 * (sum(self.shots) / 2 + self.n_query)
        self.steps_per_epoch = math.ceil(len(self.members.items) / per_episode)

    def batch(self, step: int) -> Batch:
        """The episode of one step: support first, class by class, then the queries."""
        rng = np.random.default_rng([self.seed, step])
        pool = self._pools[self._place(rng)]
        n_way = rng.integers(self.ways[0], min(self.ways[1], len(pool)), endpoint=True)
        n_shot = int(rng.integers(*self.shots, endpoint=True))
        classes = rng.choice(pool, n_way, replace=False)
        drawn = self.members.draw(classes, n_shot + self.n_query, rng)
        support, query = drawn[:, :n_shot].ravel(), drawn[:, n_shot:].ravel()
        places = np.arange(len(support) + len(query))
        return Batch(np.concatenate([support, query]), Episode(places[: len(support)], places[len(support) :]))

    def _place(self, rng: np.random.Generator) -> int:
        """Which parent."""
        if self._shares is not None:
            return int(rng.choice(len(self._shares), p=self._shares))
        return int(np.searchsorted(self._bounds, rng.integers(self._bounds[-1]), side="right"))


def as_range(given: int | tuple[int, int]) -> tuple[int, int]:
    """(least, most)."""
    return given if isinstance(given, tuple) else (given, given)


def pools_of(classes: tuple[str, ...], within: str) -> dict[str, IntArray]:
    """Class codes that may meet in one episode, by parent; all under no name where any may."""
    parents = [parent_of(label) if within == "parent" else "" for label in classes]
    return {
        name: np.array([code for code, parent in enumerate(parents) if parent == name])
        for name in dict.fromkeys(parents)
    }


def _require_classes(pools: dict[str, IntArray], least: int) -> None:
    short = [f"{name!r} has {len(pool)}" if name else f"there are {len(pool)}" for name, pool in pools.items()]
    short = [said for said, pool in zip(short, pools.values(), strict=True) if len(pool) < least]
    if short:
        raise DataError(
            f"sampler episodes needs {least} classes in an episode; {listing(short)}. "
            "Lower sampler.n_way, or name more classes in data.known."
        )
