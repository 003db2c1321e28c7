"""Ranks: conformal p-values of all classes in one search, from the calibrated scores of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nearkin.contracts import FloatArray, IntArray

WIDTH = 32
"""Bits of a score."""


@dataclass(frozen=True, eq=False)
class Fold:
    """The calibrated scores that one model gave, as numbers that ascend by class, then by score."""

    ends: IntArray
    """(m,) where those of each class end."""
    keys: IntArray

    @classmethod
    def of(cls, own: Sequence[FloatArray], codes: IntArray) -> Fold:
        """Of each class's own, (m,) codes."""
        counts = np.array([len(some) for some in own], dtype=np.int64)
        together = np.concatenate([np.zeros(0, dtype=np.float32), *own])
        return cls(np.cumsum(counts), np.sort(_keys(together, np.repeat(codes, counts))))


@dataclass(frozen=True, eq=False)
class Ranks:
    """The calibrated scores of c classes side by side, m of which have any."""

    columns: slice | IntArray
    """Of those m."""
    codes: IntArray
    """(m,)"""
    totals: IntArray
    """(m,) scores of each, of all folds."""
    folds: tuple[Fold, ...]

    @classmethod
    def of(cls, scores: Mapping[str, Sequence[FloatArray]], classes: Sequence[str]) -> Ranks:
        """Of the scores by label, an array a fold, those of these classes."""
        codes = np.array([code for code, label in enumerate(classes) if label in scores], dtype=np.int64)
        own = [scores[classes[code]] for code in codes.tolist()]
        folds = tuple(Fold.of(some, codes) for some in zip(*own, strict=True))
        totals = np.array([sum(map(len, some)) for some in own], dtype=np.int64)
        return cls(slice(None) if len(codes) == len(classes) else codes, codes, totals, folds)

    def p_values(self, scores: Sequence[FloatArray]) -> NDArray[np.float64]:
        """(q, c) scores of queries, by each fold's model -> (q, c): `(1 + #{own >= score}) / (n + 1)`, NaN for classes
        that have no own.

        Every model ranks the query among the items of its own fold; the ranks are added up.
        """
        at_least = np.zeros((len(scores[0]), len(self.codes)), dtype=np.int64)
        for fold, by in zip(self.folds, scores, strict=bool(self.folds)):
            at_least += fold.ends - fold.keys.searchsorted(_keys(by[:, self.columns], self.codes))
        found = (1 + at_least) / (self.totals + 1)
        if isinstance(self.columns, slice):
            return np.asarray(found)
        p = np.full(scores[0].shape, np.nan)
        p[:, self.columns] = found
        return p


def _keys(scores: FloatArray, codes: IntArray) -> IntArray:
    """Scores and the codes of their classes as one number each.

    The bits of a float, those below zero turned over, are ordered as the floats are (IEEE 754, totalOrder).
    """
    bits = (scores + np.float32(0)).view(np.int32)  # -0 becomes 0
    in_order = np.where(bits < 0, bits ^ np.int32(0x7FFFFFFF), bits)
    return (codes << WIDTH) + in_order
