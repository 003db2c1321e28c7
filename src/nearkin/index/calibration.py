"""Calibration: items per class whose model never saw them, and the conformal p-values that they give.

Class-conditional (Mondrian) split conformal prediction (Vovk, Gammerman, Shafer 2005): an item's score says how
strange it is for its class, by default the distance to the nearest reference, and
`p_c(z) = (1 + #{i in c: s_i >= s_c(z)}) / (n_c + 1)`. If z is of class c and exchangeable with the n_c items,
p_c <= alpha happens with probability at most alpha.

The same ranks serve three ways to come by the scores: items held out of everything; references, each scored against
those of other groups; and items of several folds, each scored by the model that its fold was left out of, among queries
that the same model scored (cross-conformal prediction: Vovk 2015).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearkin.contracts import FloatArray, IntArray, Promise, Way
from nearkin.errors import IndexCallError, listing
from nearkin.index.scoring import Scorer
from nearkin.index.space import no_rows, rows_of, stacked
from nearkin.index.units import Unit, units_of

TEXTS = ("labels", "groups", "digests", "sources")
SEED = 20240229
"""Draws the one item of each group. Fixed, so that calibrating again on the same items draws the same."""
ROUNDING = 1e-9
"""An alpha of 1 - 0.9 is meant as 0.1."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """m items with their scores against one state of the references."""

    vectors: FloatArray
    """(m, d)"""
    labels: tuple[str, ...]
    groups: tuple[str, ...]
    """Empty text: a group of its own."""
    digests: tuple[str, ...]
    sources: tuple[str, ...]
    scores: FloatArray
    """(m,) how strange each is for its own class; 0 where that is not `fresh`."""
    fresh: frozenset[str] = field(default_factory=frozenset)
    """The classes whose references are still those that the scores were computed against."""
    basis: str = ""
    """What the scores were computed with (the score, and the engine where it matters): other scores do not compare."""
    way: Way = "held_out"
    """How the items' scores come about."""
    origin: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    """(m,) leave_one_group_out: the id of the reference that it is; cross_conformal: its fold, from 0; else 0."""

    space: FloatArray | None = None
    """(m, e) in the outlier score's own space, where it has one."""
    drawn_as: Mapping[str, str] = field(default_factory=dict)
    """A class that was given another name -> the one it was calibrated under, so that its answers stay."""

    def __post_init__(self) -> None:
        if len(self.origin) != len(self.labels):
            object.__setattr__(self, "origin", np.zeros(len(self.labels), dtype=np.int64))

    @classmethod
    def empty(cls, dim: int, space_dim: int | None = None) -> Calibration:
        """Nothing calibrated."""
        none = np.zeros(0, dtype=np.float32)
        return cls(np.zeros((0, dim), dtype=np.float32), (), (), (), (), none, space=no_rows(space_dim))

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def bare(self) -> NDArray[np.bool_]:
        """(m,) which items have no digest."""
        return np.array([not digest for digest in self.digests], dtype=bool)

    def name(self, item: int) -> str:
        """What an error calls an item."""
        source = self.sources[item]
        return f"item {item}" + (f" ({source})" if source and source != "embedding" else "")

    @cached_property
    def drawn(self) -> dict[str, IntArray]:
        """Per class: one item of each of its groups, drawn by the fixed seed, whatever other classes there are.

        Groups that hold copies of one image (of one digest, or of one embedding where a digest is missing) are one.
        """
        found = units_of(self.labels, self.groups, self.digests, self.vectors)
        units: dict[str, dict[Unit, list[int]]] = {}
        for item, (label, unit) in enumerate(zip(self.labels, found, strict=True)):
            units.setdefault(label, {}).setdefault(unit, []).append(item)
        return {label: _one_each(self.drawn_as.get(label, label), units[label]) for label in units}

    @cached_property
    def counts(self) -> dict[str, int]:
        """Calibration groups a class."""
        return {label: len(self.drawn[label]) for label in sorted(self.drawn)}

    @cached_property
    def folds(self) -> int:
        """How many models score a query: one, but in cross-conformal calibration."""
        return int(self.origin.max(initial=0)) + 1 if self.way == "cross_conformal" else 1

    @cached_property
    def sorted_scores(self) -> dict[str, tuple[FloatArray, ...]]:
        """Per fresh class: the drawn items' scores, ascending, those of each fold by themselves."""
        fold = self.origin if self.way == "cross_conformal" else np.zeros(len(self), dtype=np.int64)
        return {
            label: tuple(np.sort(self.scores[items[fold[items] == k]]) for k in range(self.folds))
            for label, items in self.drawn.items()
            if label in self.fresh
        }

    def require_held_out(self, call: str) -> None:
        """`IndexCallError` where the items are no images apart, which could go along."""
        if len(self) and self.way != "held_out":
            raise IndexCallError(
                f"{call}: a {said_way(self.way)} calibration does not go along. {call}(..., keep_calibration=False) "
                "drops it; calibrate anew afterwards."
            )

    # -------------------------------------------------------------------------------------------- changes

    def stale(self, labels: Iterable[str]) -> Calibration:
        """The same, once references of these classes changed. Other classes' nearest-neighbour scores still hold."""
        return replace(self, fresh=self.fresh - set(labels))

    def relabelled(self, labels: Set[str], to: str, *, still_fresh: bool) -> Calibration:
        """The items of these labels under the label `to`; fresh where they are one class under a new name."""
        fresh = self.fresh - labels | ({to} if still_fresh and labels <= self.fresh else set())
        drawn_as = {label: first for label, first in self.drawn_as.items() if label not in labels | {to}}
        if still_fresh:
            (was,) = labels
            drawn_as[to] = self.drawn_as.get(was, was)
        renamed = tuple(to if label in labels else label for label in self.labels)
        return replace(self, labels=renamed, fresh=fresh, drawn_as=drawn_as)

    def replaced(self, new: Calibration, held: Set[str]) -> Calibration:
        """`new` in the place of what there was of its classes; the other classes stay. Not yet scored.

        Where they would stay with another way than the new one's: `IndexCallError` for those that are `held` (that the
        index holds references of), and the items of the others, which decide nothing, are dropped.
        """
        others_stay = {*self.labels} - {*new.labels}
        if self.way != new.way:
            others_stay &= held
        kept = self.taken([item for item, label in enumerate(self.labels) if label in others_stay])
        if len(kept) and kept.way != new.way:
            others = listing(map(repr, dict.fromkeys(kept.labels)))
            raise IndexCallError(
                f"{others} would stay calibrated {said_way(kept.way)}, and these {said_way(new.way)}: an index stands "
                "on one way. Calibrate all of its classes in one call."
            )
        return kept.joined(new)

    def taken(self, items: Sequence[int]) -> Calibration:
        """These items alone."""
        texts: dict[str, Any] = {name: tuple(getattr(self, name)[item] for item in items) for name in TEXTS}
        rows = np.array(items, dtype=np.int64)
        fresh = self.fresh & set(texts["labels"])
        numbers = {name: getattr(self, name)[rows] for name in ("vectors", "scores", "origin")}
        return replace(self, fresh=fresh, space=rows_of(self.space, rows), **numbers, **texts)

    def joined(self, new: Calibration) -> Calibration:
        """These and more, the classes of the new ones stale."""
        texts: dict[str, Any] = {name: (*getattr(self, name), *getattr(new, name)) for name in TEXTS}
        alone = {*self.labels} ^ {*new.labels}
        drawn_as = {label: first for label, first in {**self.drawn_as, **new.drawn_as}.items() if label in alone}
        return replace(
            self,
            drawn_as=drawn_as,
            vectors=np.concatenate([self.vectors, new.vectors]),
            scores=np.concatenate([self.scores, new.scores]),
            origin=np.concatenate([self.origin, new.origin]),
            way=new.way if len(new) else self.way,
            fresh=self.fresh - set(new.labels),
            space=stacked([self.space, new.space]),
            **texts,
        )

    def scored(self, scorer: Scorer, labels: Set[str]) -> Calibration:
        """The items of these labels scored, where their class is able; the others as they are."""
        able = scorer.able & labels & set(self.labels)
        if self.way == "leave_one_group_out":
            able &= scorer.able_left_out
        items = [item for item, label in enumerate(self.labels) if label in able]
        scores = self.scores.copy()
        if items:
            scores[items] = self._own(scorer, items)
        still = self.fresh - labels if scorer.basis == self.basis else frozenset()
        return replace(self, scores=scores, fresh=still | able, basis=scorer.basis)

    def _own(self, scorer: Scorer, items: Sequence[int]) -> FloatArray:
        """(m,) the score of each of these items for its own class."""
        looked_at = self.vectors if self.space is None else self.space
        vectors, labels = looked_at[items], [self.labels[item] for item in items]
        if self.way == "leave_one_group_out":
            return scorer.own_left_out(vectors, labels, [self.groups[item] for item in items], self.origin[items])
        return scorer.own(vectors, labels)

    # -------------------------------------------------------------------------------------------- answers

    def promise(self, scorer: Scorer, *, alpha: float) -> Promise:
        """What stands behind answers at this alpha, over the classes that are scored."""
        references = scorer.searcher.references.class_sizes
        uncalibrated = self._reasons(references, scorer, alpha)
        groups = {label: n for label, n in self.counts.items() if label in references}
        way = self.way if len(uncalibrated) < len(references) else None
        stale = tuple(sorted(uncalibrated.keys() & set(groups) - self._standing(scorer)))
        plain = Promise(alpha=alpha, way=way, groups=groups, uncalibrated=uncalibrated, stale=stale)
        if way != "cross_conformal":
            return plain
        worst = max(worst_share(alpha, n, self.folds) for label, n in groups.items() if label not in uncalibrated)
        return replace(plain, folds=self.folds, worst=worst)

    def _standing(self, scorer: Scorer) -> frozenset[str]:
        """The classes whose scores compare with this scorer's."""
        return self.fresh if self.basis == scorer.basis else frozenset()

    def _reasons(self, references: Mapping[str, int], scorer: Scorer, alpha: float) -> dict[str, str]:
        """Why classes promise nothing: class -> references it holds, to class -> reason; calibrated ones left out."""
        found = {label: self._reason(label, n, scorer, alpha) for label, n in references.items()}
        return {label: reason for label, reason in found.items() if reason}

    def _reason(self, label: str, n_references: int, scorer: Scorer, alpha: float) -> str:
        n = self.counts.get(label, 0)
        if n == 0:
            return "none given"
        if n_references < scorer.score.fewest:
            return f"fewer references than the score needs: {n_references} of {scorer.score.fewest}"
        if self.way == "leave_one_group_out" and label not in scorer.able_left_out:
            return f"fewer references than the score needs outside of one group: it needs {scorer.score.fewest}"
        if self.basis != scorer.basis:
            return f"stale: calibrated with {self.basis}, and it is {scorer.basis} now"
        if label not in self.fresh:
            whose = "references of this class" if scorer.per_class else "references"
            return f"stale: {whose} changed since calibration, or what may calibrate did"
        needed = groups_needed(alpha)
        return f"too few: {n} of needed {needed} for alpha {alpha:g}" if n < needed else ""

    def reach(self, classes: Sequence[str], calibrated: IntArray, alpha: float) -> FloatArray:
        """(c,) the largest score with which each class of the `calibrated` columns fits at alpha; the others -inf."""
        reach = np.full(len(classes), -np.inf, dtype=np.float32)
        for code in calibrated.tolist():
            (own,) = self.sorted_scores[classes[code]]
            reach[code] = _farthest_that_fits(own, alpha)
        return reach


def _farthest_that_fits(own: FloatArray, alpha: float) -> float:
    """The largest score whose p-value is above alpha, given the class's own scores, ascending."""
    n = len(own)
    fewest = math.floor(alpha * (1 + ROUNDING) * (n + 1) - 1) + 1  # as large or larger among the n
    while fewest > 0 and fits(np.array(fewest / (n + 1)), alpha):
        fewest -= 1
    while not fits(np.array((1 + fewest) / (n + 1)), alpha):
        fewest += 1
    return float(own[n - fewest]) if 0 < fewest <= n else (np.inf if fewest <= 0 else -np.inf)


def said_way(way: Way) -> str:
    """As a sentence has it."""
    return way.replace("_", "-")


def worst_share(alpha: float, n: int, folds: int) -> float:
    """The largest share of a class with n groups in K equal folds that cross-conformal calibration may flag.

    Barber, Candes, Ramdas, Tibshirani 2021, Predictive inference with the jackknife+, theorem 4.
    """
    small_sample = min(2 * (1 - 1 / folds) / (n / folds + 1), (1 - folds / n) / (folds + 1))
    return min(1.0, 2 * alpha + max(0.0, small_sample))


def groups_needed(alpha: float) -> int:
    """The fewest calibration groups with which a class can be ruled out at alpha: 1 / (n + 1) <= alpha."""
    return math.ceil(1 / alpha - ROUNDING) - 1


def fits(p_values: NDArray[np.float64], alpha: float) -> NDArray[np.bool_]:
    """Which classes are in the answer set: p > alpha. NaN is not."""
    above: NDArray[np.bool_] = p_values > alpha * (1 + ROUNDING)
    return above


def _one_each(label: str, units: Mapping[Unit, list[int]]) -> IntArray:
    rng = np.random.default_rng([SEED, *label.encode()])
    return np.array([units[unit][rng.integers(len(units[unit]))] for unit in sorted(units)], dtype=np.int64)
