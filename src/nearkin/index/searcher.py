"""The store searched: an engine proposes candidates, distances computed from the store itself decide."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from nearkin.contracts import Engine, FloatArray, IntArray, Metric
from nearkin.errors import PluginError, blaming
from nearkin.index.balls import Balls
from nearkin.index.candidates import Candidates, Proposed, measured
from nearkin.index.distances import HELD, distances, row_chunks
from nearkin.index.engines.flat import FlatEngine
from nearkin.index.references import References

SPARE = 32
"""Candidates asked for beyond k, so that an engine's rounding seldom makes a second search necessary."""
LOOKED_AT = 2**18
"""Up to so many numbers (references times dimensions) every reference is measured: no engine is quicker."""


def filled(engine: Engine, ids: IntArray, vectors: FloatArray, changed: IntArray | None = None) -> Engine:
    """The engine that this one makes to hold (n,) ids and (n, d) vectors; `PluginError` where it does not hold them."""
    who = f"the engine {type(engine).__name__}"
    with blaming(who):
        return holds(engine.holding(ids, vectors, changed=changed), len(ids), who)


def holds(engine: Engine, n: int, who: str) -> Engine:
    """This engine, which was given n vectors; `PluginError` where it holds others."""
    if len(engine) != n:
        raise PluginError(f"{who} holds {len(engine)} vectors after it was given {n}: see nearkin.contracts.")
    return engine


@dataclass(frozen=True)
class Searcher:
    """One state of the references and the engine that holds it.

    With an exact engine what it finds is exact, ties in the order of ids, whatever the engine rounds.
    """

    references: References
    engine: Engine
    metric: Metric

    @property
    def looks_at_all(self) -> bool:
        """Whether there are so few that every one is measured."""
        return self.references.vectors.size <= LOOKED_AT and self.engine.exact

    @property
    def in_store(self) -> bool:
        """Whether the engine looks at the store itself, in this process; another's memory may hold what ours cannot."""
        return isinstance(getattr(self.engine, "chosen", self.engine), FlatEngine)

    @cached_property
    def balls(self) -> Balls:
        """Around the classes."""
        return Balls.around(self.references, self.metric)

    def search(self, queries: FloatArray, k: int) -> tuple[IntArray, FloatArray]:
        """(q, d) -> positions in the store (q, k), distances (q, k), nearest first. k is cut to what there is."""
        n = len(self.references)
        k, most = min(k, n), n if self.engine.exact else 0
        found = _until_sure(lambda some, ask: self.near(some, ask, shown=k), queries, k, k + SPARE, most)
        return found.positions, found.distances

    def near(self, queries: FloatArray, ask: int, *, shown: int, k: int = 0) -> Candidates:
        """(q, d) -> among about `ask` references near each query the `shown` nearest, and the k nearest of each class.

        No other reference is nearer than the floor.
        """
        n = len(self.references)
        if self.engine.exact and (self.looks_at_all or ask > n // 8):
            return self._all(queries, min(ask, n))
        with blaming(f"the engine {type(self.engine).__name__}"):
            proposed = Proposed.of(self.engine.search(queries, min(ask, n)), self.references.ids)
        if n and proposed.missing.all(axis=1).any():
            raise PluginError(
                f"the engine {type(self.engine).__name__} proposes none of the {n} references for a query. "
                "Take another, or mend its plugin."
            )
        codes = self.references.codes[proposed.positions]
        needed = proposed.needed(shown, codes, k) if self.engine.exact else ~proposed.missing
        return measured(proposed, needed, queries, self.references.vectors, self.metric)

    def nearest_among(self, queries: FloatArray, members: IntArray, k: int) -> Candidates:
        """(q, d), (m,) positions, ascending -> the k nearest of these, all where there are fewer.

        No other of them is nearer than the floor.
        """
        vectors, places, k = self.references.vectors[members], np.arange(len(members)), min(k, len(members))
        part = FlatEngine(self.metric, places, vectors)

        def near(some: FloatArray, ask: int) -> Candidates:
            proposed = Proposed.of(part.search(some, ask), places)
            return measured(proposed, proposed.needed(k, proposed.positions, 0), some, vectors, self.metric)

        found = _until_sure(near, queries, k, k + 1, len(members))
        return replace(found, positions=members[found.positions])

    def _all(self, queries: FloatArray, ask: int) -> Candidates:
        """The nearest `ask` where every reference is measured; an engine has nothing to add."""
        n = len(self.references)
        positions = np.empty((len(queries), ask), dtype=np.int64)
        found = np.empty((len(queries), ask), dtype=np.float32)
        floor = np.full(len(queries), np.inf, dtype=np.float32)
        for rows in row_chunks(len(queries), n, HELD):
            exact = distances(queries[rows], self.references.vectors, self.metric)
            order = np.argsort(exact, axis=1, kind="stable")
            positions[rows], found[rows] = order[:, :ask], np.take_along_axis(exact, order[:, :ask], axis=1)
            if ask < n:
                floor[rows] = exact[np.arange(len(exact)), order[:, ask]]
        return Candidates(positions, found, floor)


def _until_sure(
    near: Callable[[FloatArray, int], Candidates], queries: FloatArray, k: int, ask: int, most: int
) -> Candidates:
    """(q, d) -> the k nearest of each, asking for more where those left out may be as near, up to `most`."""
    positions = np.empty((len(queries), k), dtype=np.int64)
    distances = np.empty((len(queries), k), dtype=np.float32)
    floor = np.empty(len(queries), dtype=np.float32)
    rows, first = np.arange(len(queries)), ask
    while len(rows):
        found = near(queries if len(rows) == len(queries) else queries[rows], ask)
        sure = np.full(len(rows), True) if ask >= most or not k else found.distances[:, k - 1] < found.floor
        done = rows[sure]
        positions[done], distances[done] = found.positions[sure, :k], found.distances[sure, :k]
        # Once more were asked for, those that are dropped here may be nearer than what was never proposed.
        floor[done] = found.floor[sure] if ask == first or not k else distances[done, -1]
        rows, ask = rows[~sure], 4 * ask
    return Candidates(positions, distances, floor)
