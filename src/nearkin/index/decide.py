"""Decisions: distances and p-values become answers, each with its reason in one plain sentence."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nearkin.contracts import Answer, ClassRule, FloatArray, IntArray, Metric, Neighbor, Promise, Status
from nearkin.errors import listing
from nearkin.index.by_class import Bounds, ByClass
from nearkin.index.calibration import ROUNDING, fits

SHOWN = 10
"""Classes that a reason names, with their p-values, before it counts the rest."""
NEAREST_BY: Mapping[ClassRule, str] = {
    "nearest": "Nearest is {label} at {distance:.4g} ({metric})",
    "prototype": "Nearest by class mean is {label}, its nearest reference at {distance:.4g} ({metric})",
    "attention": "Most attention falls on {label}, its nearest reference at {distance:.4g} ({metric})",
}


@dataclass(frozen=True)
class Evidence:
    """What is known of q queries before anything is decided."""

    codes: IntArray
    """(q,) place among the classes of the cluster that the class rule names."""
    nearest: FloatArray
    """(q, c) distance to each class's nearest reference."""
    bounded: NDArray[np.bool_]
    """(q, c) where `nearest` is what it is at least, and the p-value what it is at most."""
    strangeness: FloatArray
    """(q,) the outlier score for the class that it is least strange for; infinite where no class can be scored."""
    p_values: NDArray[np.float64]
    """(q, c); the columns of uncalibrated classes mean nothing."""
    neighbors: Sequence[tuple[Neighbor, ...]]


class Fitting(NamedTuple):
    """The calibrated classes that fit one query."""

    own: bool
    """Whether the one that is named does; says nothing where that is uncalibrated."""
    total: int
    """How many fit."""
    others: tuple[tuple[int, float], ...]
    """Columns and p-values of those that are not named, the first `SHOWN` or so."""


@dataclass(frozen=True)
class Judge:
    """Decides at one alpha, for one state of the calibration."""

    metric: Metric
    class_rule: ClassRule
    promise: Promise
    classes: tuple[str, ...]
    """Those asked about, in the order of the evidence's columns."""

    @cached_property
    def _every(self) -> Mapping[str, int]:
        """The column of each class."""
        return {label: column for column, label in enumerate(self.classes)}

    @cached_property
    def _able(self) -> Mapping[str, int]:
        """The column of each calibrated class."""
        return {label: at for label, at in self._every.items() if label not in self.promise.uncalibrated}

    @cached_property
    def calibrated(self) -> IntArray:
        """Columns of the calibrated classes."""
        return np.array(list(self._able.values()), dtype=np.int64)

    @cached_property
    def _said(self) -> list[str]:
        """Each class as a sentence has it."""
        return [repr(label) for label in self.classes]

    def decide(self, evidence: Evidence) -> list[Answer]:
        """One answer a query."""
        classes, every, able = self.classes, self._every, self._able
        found = (evidence.codes.tolist(), evidence.nearest, evidence.p_values, evidence.bounded)
        strange = evidence.strangeness.tolist()
        return [
            self._answer(
                classes[code], ByClass(every, near), ByClass(able, p), Bounds(every, bounded), fit, neighbors, score
            )
            for code, near, p, bounded, fit, neighbors, score in zip(
                *found, self._fitting(evidence), evidence.neighbors, strange, strict=True
            )
        ]

    def _fitting(self, evidence: Evidence) -> Iterator[Fitting]:
        """Which classes fit, a query at a time."""
        p_values = evidence.p_values
        fit = fits(p_values[:, self.calibrated], self.promise.alpha)
        totals = fit.sum(axis=1).tolist()
        if fit.shape[1] > SHOWN + 1:
            fit &= np.cumsum(fit, axis=1) <= SHOWN + 1
        rows, places = np.nonzero(fit)
        columns = self.calibrated[places]
        told = zip(columns.tolist(), p_values[rows, columns].tolist(), strict=True)
        for row, (code, total) in enumerate(zip(evidence.codes.tolist(), totals, strict=True)):
            first = tuple(pair for pair in islice(told, min(total, SHOWN + 1)) if pair[0] != code)
            yield Fitting(bool(fits(p_values[row, code], self.promise.alpha)), total, first)

    def _answer(
        self, label: str, distances: Mapping[str, float], p_values: Mapping[str, float], bounds: Set[str],
        fitting: Fitting, neighbors: tuple[Neighbor, ...], score: float,
    ) -> Answer:  # fmt: skip
        status, distance = self._status(label, fitting), distances[label]
        nearest = NEAREST_BY[self.class_rule].format(label=repr(label), distance=distance, metric=self.metric)
        return Answer(
            status=status,
            label=label,
            distance=distance,
            distances=distances,
            p_values=p_values,
            neighbors=neighbors,
            reason=nearest + self._why(status, label, p_values, fitting),
            promise=self.promise,
            bounds=bounds,
            score=score if score < math.inf else None,
        )

    def _status(self, label: str, fitting: Fitting) -> Status | None:
        if label in self.promise.uncalibrated:
            return "ambiguous" if fitting.total else None
        if not fitting.total:
            return "unknown"
        return "known" if fitting.own and fitting.total == 1 else "ambiguous"

    def _why(self, status: Status | None, label: str, p_values: Mapping[str, float], fitting: Fitting) -> str:
        """The second half of the sentence."""
        if label in self.promise.uncalibrated:
            because = f"; {label!r} is uncalibrated ({self.promise.uncalibrated[label]}), "
            return because + (self._look(fitting.others, fitting.total) if fitting.total else "so nothing is promised.")
        own = f"; its p-value {p_values[label]:.3g} is {'' if fitting.own else 'not '}above {self._bound}"
        if status == "ambiguous":
            return f"{own}, {self._look(fitting.others, fitting.total - fitting.own)}"
        return f"{own} and no other {self._class} fits{self._open}."

    def _look(self, others: Sequence[tuple[int, float]], total: int) -> str:
        """Which others fit: the columns and p-values of the first, and how many there are."""
        shown = [f"{self._said[column]} (p-value {p:.3g})" for column, p in others[:SHOWN]]
        return f"but {listing(shown, most=SHOWN, total=total)} could fit: a person should look."

    @cached_property
    def _bound(self) -> str:
        """`alpha 0.10`, with more digits where it has more."""
        alpha = self.promise.alpha
        return f"alpha {alpha:.2f}" if abs(round(alpha, 2) - alpha) < ROUNDING else f"alpha {alpha:.6g}"

    @property
    def _class(self) -> str:
        kind = "calibrated class" if self.promise.uncalibrated else "class"
        return f"{kind} asked about" if self.promise.left_out else kind

    @cached_property
    def _open(self) -> str:
        """The classes that nothing is known of."""
        bare, left = (listing(map(repr, names)) for names in (self.promise.uncalibrated, self.promise.left_out))
        return (f"; uncalibrated, so not ruled out: {bare}" if bare else "") + (
            f"; not asked about: {left}" if left else ""
        )
