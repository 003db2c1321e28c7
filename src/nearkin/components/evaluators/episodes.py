"""N-way K-shot accuracy: a few labelled images of each class, queries named by the method's own rule.

A thousand episodes about twenty classes are twenty classes' worth of evidence. So beside the field's interval, which
only says how well so many episodes measure these very images, each figure has one over classes (where they are new
ones, a sample of those to come) and over images or groups; details have one over classes alone, whatever they are. It
is a bootstrap to first order: what each unit adds to or takes from the mean, in every role it played, weighted by how
often a resample draws it (the infinitesimal jackknife, Efron 1982; two crossed factors as in Owen 2007, the
pigeonhole bootstrap).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from nearkin.components.evaluators.askable import SPANNING, Askable, askable
from nearkin.components.evaluators.episode_draw import Drawn, Pool, draw_episodes, pools_of
from nearkin.components.evaluators.intervals import Z_95, at_least_wilson, interval, widening
from nearkin.components.evaluators.options import EpisodesOptions
from nearkin.contracts import Figure, View, parent_of

if TYPE_CHECKING:
    from nearkin.contracts import Compare

    Floats = NDArray[np.float64]

STREAM = 5
"""Keeps this evaluator's draws apart from the others'."""


class Episodes:
    """Figure `episodes_<n>_way_<k>_shot`, and one a parent where there are several."""

    def __init__(self, options: EpisodesOptions) -> None:
        self.options = options

    def evaluate(self, view: View) -> Sequence[Figure]:
        """The share of queries named right; t tied best classes with the right one among them count 1/t."""
        name = f"episodes_{self.options.n_way}_way_{self.options.n_shot}_shot"
        items, new_classes = asked_items(view, self.options.ask)
        labels = [view.labels[row] for row in items.rows]
        parents = [parent_of(label) if self.options.within == "parent" else "" for label in labels]
        pools = pools_of(items, labels, parents, self.options.n_shot)
        able = [pool for pool in pools if pool.n_classes >= 2]
        if not able:
            return [self._not_measured(name, {"left_out": dict(items.left_out)})]
        each = max(2, math.ceil(self.options.episodes / len(able)))  # one alone has no spread
        results = [self._ask(view, pool, each, new_classes) for pool in able]
        unable = [pool.name for pool in pools if pool.n_classes < 2]
        figures = [result.figure(f"{name}_{result.pool.name}") for result in results if len(pools) > 1]
        missing = [self._not_measured(f"{name}_{parent}", {}) for parent in unable if len(pools) > 1]
        return [mean_of(name, results, items), *figures, *missing]

    def _not_measured(self, name: str, details: Mapping[str, Any]) -> Figure:
        need = self.options.n_shot + 1
        note = f"Fewer than two classes have {need} usable test images, one of them of another group than the support."
        return Figure(name, None, note=note, details=details, better="higher")

    def _ask(self, view: View, pool: Pool, episodes: int, new_classes: bool) -> Result:
        # A stream a pool by its name: another alphabet more leaves the others' questions as they are.
        rng = np.random.default_rng([view.seed, STREAM, *pool.name.encode()])
        n_way, n_shot = min(self.options.n_way, pool.n_classes), self.options.n_shot
        drawn = draw_episodes(
            pool, n_way=n_way, n_shot=n_shot, n_query=self.options.n_query, episodes=episodes, rng=rng
        )
        marks = mark(view.embeddings[pool.items.rows], drawn, view.compare or nearest_in(view.index.metric), rng)
        value = float(marks[drawn.asked].mean())
        replicates = resampled(pool, drawn, marks, value, self.options.resamples, rng, new_classes)
        return Result(pool, drawn, marks, value, replicates, new_classes)


def asked_items(view: View, ask: Literal["unknown", "known", "all"] | None) -> tuple[Askable, bool]:
    """The items asked about, and whether their classes are new ones: a sample of classes to come."""
    items = askable(view)
    is_known = items.codes < len(view.classes)
    if ask == "all":
        return items, False
    new = ask == "unknown" or (ask is None and not is_known.all())
    return items.where(~is_known if new else is_known), new


def nearest_in(metric: Any) -> Compare:
    """Minus the distance to each class's nearest support."""
    import torch

    from nearkin.functional import class_scores

    def compare(queries: Any, support: Any, labels: Any) -> Any:
        parts = (torch.from_numpy(part) for part in (queries, support, labels))
        return class_scores(*parts, metric=metric, rule="nearest").numpy()

    return compare


def mark(vectors: Any, drawn: Drawn, compare: Compare, rng: np.random.Generator) -> Floats:
    """(n, d) of the pool's items -> (e, n_way, n_query): 1 where the right class alone scores best, 1/t for ties."""
    episodes, n_way, n_shot = drawn.support.shape
    codes = np.repeat(np.arange(n_way), n_shot)
    marks = np.zeros(drawn.query.shape)
    right = np.broadcast_to(np.arange(n_way)[:, None], drawn.query.shape[1:])
    for i in range(episodes):
        # In random order, so that no rounding that depends on a row's place favours a class.
        places = rng.permutation(np.flatnonzero(drawn.asked[i]))
        query = drawn.query[i].ravel()[places]
        scores = compare(vectors[query], vectors[drawn.support[i].ravel()], codes)
        best = scores == scores.max(axis=1, keepdims=True)
        of_right = best[np.arange(len(places)), right.ravel()[places]]
        marks[i].reshape(-1)[places] = of_right / best.sum(axis=1)
    return marks


def resampled(
    pool: Pool,
    drawn: Drawn,
    marks: Floats,
    value: float,
    resamples: int,
    rng: np.random.Generator,
    new_classes: bool,
) -> Floats:
    """(resamples,) what the mean might have been with other classes, images or groups of the same kind."""
    items, n_classes = pool.items, pool.n_classes
    surplus, as_query = query_shares(pool, drawn, marks, value)
    replicates: Floats = np.full(resamples, value)
    if new_classes:
        replicates += _weighted(by_class(pool, as_query), resamples, rng) * widening(n_classes, 1)
    spanning = SPANNING in items.strata
    if spanning or not new_classes:  # what lies inside a class is resampled with it
        as_support = np.zeros(len(items))
        # A unit counts once an episode, however many of its images are support.
        np.add.at(as_support, drawn.support, surplus.sum(axis=(1, 2))[:, None, None] / drawn.sharing)
        of_unit = _by_unit(items, as_query + as_support, n_classes)
        replicates += _weighted(of_unit, resamples, rng) * widening(len(of_unit), 1 if spanning else n_classes)
    return replicates


def query_shares(pool: Pool, drawn: Drawn, marks: Floats, value: float) -> tuple[Floats, Floats]:
    """What each query adds to the mean or takes from it, (e, n_way, n_query), and each item as a query, (n,)."""
    surplus = np.where(drawn.asked, marks - value, 0.0) / drawn.asked.sum()
    as_query = np.zeros(len(pool.items))
    np.add.at(as_query, drawn.query, surplus)
    return surplus, as_query


def by_class(pool: Pool, as_query: Floats) -> Floats:
    """(n,) -> (c,): what each class's queries add to the mean or take from it; they sum to 0."""
    of_class = np.zeros(pool.n_classes)
    np.add.at(of_class, pool.items.codes, as_query)
    return of_class


def _by_unit(items: Askable, influence: Floats, n_classes: int) -> Floats:
    """(n,) -> (u,): each unit's share in every class, less the class's mean, since classes are not resampled here."""
    shares = np.zeros((n_classes, items.n_units))
    np.add.at(shares, (items.codes, items.units), influence)
    there = np.zeros(shares.shape, dtype=bool)
    there[items.codes, items.units] = True
    means = shares.sum(axis=1) / there.sum(axis=1)
    total: Floats = np.where(there, shares - means[:, None], 0.0).sum(axis=0)
    return total


def _weighted(influence: Floats, resamples: int, rng: np.random.Generator) -> Floats:
    """(u,) -> (resamples,): the sum over what a resample drew, less the sum over what there is."""
    n = len(influence)
    weights = rng.multinomial(n, np.full(n, 1 / n), size=resamples)
    found: Floats = (weights - 1.0) @ influence
    return found


@dataclass(frozen=True)
class Result:
    """What one pool's episodes came to."""

    pool: Pool
    drawn: Drawn
    marks: Floats
    value: float
    replicates: Floats
    new_classes: bool

    @property
    def of_episode(self) -> Floats:
        """(e,) the accuracy of each episode that asked anything."""
        asked = self.drawn.asked.sum(axis=(1, 2))
        found: Floats = self.marks.sum(axis=(1, 2))[asked > 0] / asked[asked > 0]
        return found

    @property
    def of_class(self) -> Floats:
        """(c,) what each class adds to the value or takes from it."""
        return by_class(self.pool, query_shares(self.pool, self.drawn, self.marks, self.value)[1])

    @property
    def n(self) -> int:
        """What stands behind the interval: classes, or units."""
        return self.pool.n_classes if self.new_classes else self.pool.items.n_units

    @property
    def asked_images(self) -> int:
        """How many different images were queries."""
        return len(np.unique(self.drawn.query[self.drawn.asked]))

    @property
    def kind(self) -> Literal["images", "groups", "classes"]:
        """What was resampled."""
        return "classes" if self.new_classes else self.pool.items.resampled

    def figure(self, name: str) -> Figure:
        """This pool's own figure."""
        low, high = interval(self.value, self.replicates, self.asked_images)
        n_way = self.drawn.support.shape[1]
        details = {
            "n_way": n_way,
            "over_episodes": over_episodes([self]),
            "over_classes": over_classes([self]),
            "queries": int(self.drawn.asked.sum()),
            "images": len(self.pool.items),
            "classes_too_small": self.pool.too_small,
        }
        note = f"{len(self.of_episode)} episodes of {n_way} of {self.pool.n_classes} classes."
        replicates = tuple(self.replicates.tolist())
        return Figure(
            name, self.value, low, high, self.n, self.kind, note, details, "higher", 1 / n_way, replicates=replicates
        )


def over_episodes(results: Sequence[Result]) -> dict[str, Any]:
    """The mean's 95% interval over episodes, as few-shot papers give it; about these very images."""
    means = [result.of_episode.mean() for result in results]
    variances = [result.of_episode.var(ddof=1) / len(result.of_episode) for result in results]
    mean, half = float(np.mean(means)), Z_95 * math.sqrt(sum(variances)) / len(results)
    low, high = max(0.0, mean - half), min(1.0, mean + half)
    return {"low": low, "high": high, "episodes": sum(len(result.of_episode) for result in results)}


def over_classes(results: Sequence[Result]) -> dict[str, Any]:
    """The mean's 95% interval over classes, as if these were drawn from many of their kind, within each parent.

    Student's, with Welch's degrees of freedom (1947) where parents are averaged, and never narrower than Wilson's for
    the images that were asked about. Of two classes there is none: one degree of freedom allows nearly everything.
    """
    from scipy.special import stdtrit

    counts = [result.pool.n_classes for result in results]
    if sum(counts) - len(counts) < 2:
        return {"low": None, "high": None, "classes": sum(counts)}
    value = float(np.mean([result.value for result in results]))
    variances = [n / (n - 1) * float((result.of_class**2).sum()) for n, result in zip(counts, results, strict=True)]
    parts = [variance**2 / (n - 1) for n, variance in zip(counts, variances, strict=True)]
    freedom = sum(variances) ** 2 / sum(parts) if any(parts) else 1.0  # no spread, whatever the freedom
    half = float(stdtrit(freedom, 0.975)) * math.sqrt(sum(variances)) / len(results)
    asked = sum(result.asked_images for result in results)
    low, high = at_least_wilson(value, max(0.0, value - half), min(1.0, value + half), asked)
    return {"low": low, "high": high, "classes": sum(counts)}


def mean_of(name: str, results: Sequence[Result], items: Askable) -> Figure:
    """The mean over the parents, each weighing the same."""
    if len(results) == 1:
        only = results[0].figure(name)
        return replace(only, details={**only.details, "left_out": dict(items.left_out)})
    value = float(np.mean([result.value for result in results]))
    replicates = np.mean([result.replicates for result in results], axis=0)
    low, high = interval(value, replicates, sum(result.asked_images for result in results))
    details = {
        "over_episodes": over_episodes(results),
        "over_classes": over_classes(results),
        "parents": {result.pool.name: result.value for result in results},
        "left_out": dict(items.left_out),
    }
    note = f"The mean of {len(results)} parents, {len(results[0].of_episode)} episodes of each."
    n = sum(result.n for result in results)
    chance = float(np.mean([1 / result.drawn.support.shape[1] for result in results]))
    kind, kept = results[0].kind, tuple(replicates.tolist())
    return Figure(name, value, low, high, n, kind, note, details, "higher", chance, replicates=kept)
