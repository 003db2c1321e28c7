"""Verification: are two images of one class? Each image stands in as many pairs of one class as of two.

The curve is over all pairs at once, so distances must mean the same for every class. A threshold is found on the
select images alone. Intervals resample images (or groups) and draw the pairs anew from them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from nearkin.components.evaluators.askable import Askable, labelled
from nearkin.components.evaluators.intervals import measured
from nearkin.components.evaluators.options import VerificationOptions
from nearkin.components.evaluators.pairwise import Pairwise
from nearkin.components.evaluators.questions import Pool, at_most, draw_questions, resamples_of
from nearkin.components.evaluators.roc import Roc
from nearkin.contracts import Figure, View

STREAM = 6
"""Keeps this evaluator's draws apart from the others'."""
LEAST_BEYOND = 10
"""So many pairs must lie within the FAR that is asked for, or the cut is noise."""
TOO_FEW = "Pairs need images of two classes, in two groups each."
NO_SELECT = "A threshold is found on select images, and there are none in two classes, in two groups each."


@dataclass(frozen=True)
class Wanted:
    """One figure to read off a curve."""

    name: str
    read: Callable[[Roc], float]
    better: Literal["higher", "lower"]
    chance: float
    missing: str = ""
    """Why it cannot be read."""
    details: Mapping[str, Any] = field(default_factory=dict)


class Verification:
    """Figures `verification_auc`, `equal_error_rate`, `threshold_accuracy` and `tar_at_far_<f>`."""

    def __init__(self, options: VerificationOptions) -> None:
        self.options = options

    def evaluate(self, view: View) -> Sequence[Figure]:
        """Of pairs among the test images, half of them of one class."""
        pairs = self._pairs(view, self.options.classes)
        wanted = [
            *plain(),
            at_threshold(self._threshold(view)),
            *(self._at_far(f, pairs.items) for f in self.options.far),
        ]
        if not pairs.items.codes.any():  # fewer than two classes are left
            wanted = [replace(one, missing=TOO_FEW) for one in wanted]
        curve = None if all(one.missing for one in wanted) else pairs.curve()
        resampled = [] if curve is None else pairs.resampled(self.options.resamples)
        return [pairs.figure(one, curve, resampled) for one in wanted]

    def _pairs(self, view: View, classes: Literal["all", "known", "unknown"]) -> Pairs:
        items = at_most(in_two_units(labelled(view, classes)), self.options.images, _rng(view, 3))
        return Pairs(view, items, self.options.pairs)

    def _threshold(self, view: View) -> float | None:
        """The cut that tells pairs among the select images apart best."""
        if view.select is None:
            return None
        own = {name: getattr(view.select, name) for name in ("embeddings", "labels", "groups", "digests")}
        pairs = self._pairs(replace(view, **own, seen_digests=frozenset()), "all")
        return pairs.curve().best_cut() if pairs.items.codes.any() else None

    def _at_far(self, far: float, items: Askable) -> Wanted:
        """TAR at a FAR, where there are pairs enough of two classes to know it by."""
        there = (len(items) ** 2 - int((np.bincount(items.codes) ** 2).sum())) // 2 if len(items) else 0
        pairs, needed = min(self.options.pairs, there), int(np.ceil(LEAST_BEYOND / far))
        few = f"FAR {far:g} needs {needed:,} pairs of two classes, and there are {pairs:,}." if pairs < needed else ""
        return Wanted(f"tar_at_far_{far:g}", lambda roc: roc.tar_at(far), "higher", far, few)


def plain() -> list[Wanted]:
    """What needs no more than the pairs."""
    return [
        Wanted("verification_auc", Roc.auc, "higher", 0.5),
        Wanted("equal_error_rate", Roc.equal_error_rate, "lower", 0.5),
    ]


def at_threshold(threshold: float | None) -> Wanted:
    """The share of pairs that the threshold judges right, given the threshold."""

    def accuracy(roc: Roc) -> float:
        assert threshold is not None
        far, tar = roc.at(threshold)
        return (tar + 1 - far) / 2

    missing = NO_SELECT if threshold is None else ""
    return Wanted("threshold_accuracy", accuracy, "higher", 0.5, missing, {"threshold": threshold})


def in_two_units(items: Askable) -> Askable:
    """Items of classes that have another unit to be paired with, codes without gaps; the others are counted."""
    units_of = {code: len(np.unique(items.units[items.codes == code])) for code in np.unique(items.codes)}
    kept = items.where(np.array([units_of[code] > 1 for code in items.codes], dtype=bool))
    codes = np.unique(kept.codes, return_inverse=True)[1].reshape(-1)
    return replace(kept, codes=codes, left_out={**kept.left_out, "alone_in_class": len(items) - len(kept)})


@dataclass
class Pairs:
    """Pairs among items: each draw gives as many of one class as of two."""

    view: View
    items: Askable
    n_pairs: int
    """Of each kind."""

    def __post_init__(self) -> None:
        self._distances = Pairwise(self.view.embeddings[self.items.rows], self.view.index.metric).all()

    def curve(self) -> Roc:
        """Of the items as they are."""
        return self._curve(np.arange(len(self.items)), _rng(self.view, 0))

    def resampled(self, resamples: int) -> list[Roc]:
        """Of resamples of the items, each with pairs drawn anew."""
        rng = _rng(self.view, 1)
        weights = resamples_of(self.items, resamples, rng, n_way=2)
        return [self._curve(np.repeat(np.arange(len(self.items)), row), rng) for row in weights]

    def _curve(self, slots: Any, rng: np.random.Generator) -> Roc:
        drawn = draw_questions(Pool.of(self.items, slots), n_way=2, n_questions=self.n_pairs, rng=rng)
        same, different = (self._distances[drawn.queries, drawn.choices[:, column]] for column in (0, 1))
        return Roc.of(same, different)

    def figure(self, wanted: Wanted, curve: Roc | None, resampled: Sequence[Roc]) -> Figure:
        """What is wanted, read off the curve, its interval off the resamples' curves."""
        details = {"pairs": 2 * self.n_pairs, "left_out": dict(self.items.left_out), **wanted.details}
        facts: dict[str, Any] = {"details": details, "better": wanted.better, "chance": wanted.chance}
        if wanted.missing or curve is None:
            return Figure(wanted.name, None, note=wanted.missing, **facts)
        value, replicates = wanted.read(curve), np.array([wanted.read(roc) for roc in resampled])
        note = f"{self.n_pairs} pairs of one class and as many of two, among {len(self.items)} images."
        return measured(wanted.name, value, replicates, self.items, note=note, **facts)


def _rng(view: View, draw: int) -> np.random.Generator:
    """Draws of their own for pairs and resamples: more of one leaves the other as it was."""
    return np.random.default_rng([view.seed, STREAM, draw])
