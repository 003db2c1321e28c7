"""A cut swept over the outlier score, nearest accepted first: every ranking figure about known and unknown images.

Images of one score are accepted together; where a curve needs a point between, it is the expected one over random
orders of them. All resamples are swept at once: arrays are (resamples, different scores), or (resamples,).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from nearkin.contracts import IntArray

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Sweep:
    """How many of each kind stand at each different score, ascending."""

    known: IntArray
    """(b, k) images of known classes."""
    right: IntArray
    """(b, k) those of them whose label is right."""
    unknown: IntArray
    """(b, k) images of unknown classes."""

    @classmethod
    def of(
        cls, scores: NDArray[Any], is_unknown: NDArray[np.bool_], hits: NDArray[np.bool_], weights: IntArray
    ) -> Sweep:
        """From (n,) outlier scores, whether unknown, whether labelled right, and (b, n) how often each was drawn."""
        order = np.argsort(scores, kind="stable")
        ascending = scores[order]
        starts = np.flatnonzero(np.r_[True, ascending[1:] > ascending[:-1]])
        kinds = (~is_unknown, ~is_unknown & hits, is_unknown)
        return cls(*(np.add.reduceat((weights * kind)[:, order], starts, axis=1) for kind in kinds))

    def auroc(self) -> Values:
        """The chance that an unknown scores higher than a known; ties count a half."""
        return area(share(self.known), share(self.unknown))

    def aupr_unknown(self) -> Values:
        """Average precision of finding the unknowns, highest score first."""
        return average_precision(self.unknown[:, ::-1], self.known[:, ::-1])

    def aupr_known(self) -> Values:
        """Average precision of finding the knowns, lowest score first."""
        return average_precision(self.known, self.unknown)

    def fpr_at_tpr(self, tpr: float) -> Values:
        """The share of unknowns accepted where at least this share of knowns is (Hendrycks & Gimpel 2017)."""
        enough = share(self.known) >= tpr - 1e-12
        at = np.argmax(enough, axis=1)
        accepted: Values = share(self.unknown)[np.arange(len(at)), at]
        return accepted

    def oscr(self) -> Values:
        """Area under the share of knowns accepted with the right label, over the share of unknowns accepted.

        Dhamija, Guenther & Boult 2018, "Reducing network agnostophobia".
        """
        right = np.cumsum(self.right, axis=1) / self.known.sum(axis=1, keepdims=True)
        return area(right, share(self.unknown))

    def aurc(self) -> Values:
        """The mean share of wrong ones among the first i accepted, over all i; an accepted unknown is wrong.

        Geifman & El-Yaniv 2017, with new classes as failures as in Jaeger et al. 2023.
        """
        at, wrong = self.known + self.unknown, self.known + self.unknown - self.right
        before, wrong_before = exclusive(at), exclusive(wrong)
        harmonic = np.r_[0.0, np.cumsum(1 / np.arange(1, int(at.sum(axis=1).max()) + 1))]
        rate = wrong / np.maximum(at, 1)
        # The x-th of a tie of c makes wrong_before + x * rate of before + x: summed over x = 1..c.
        risks = at * rate + (wrong_before - before * rate) * (harmonic[before + at] - harmonic[before])
        means: Values = risks.sum(axis=1) / at.sum(axis=1)
        return means


def share(counts: IntArray) -> Values:
    """(b, k) -> (b, k) the share of all up to each score."""
    shares: Values = np.cumsum(counts, axis=1) / counts.sum(axis=1, keepdims=True)
    return shares


def exclusive(counts: IntArray) -> IntArray:
    """(b, k) -> (b, k) the sum of all before each."""
    before: IntArray = np.cumsum(counts, axis=1) - counts
    return before


def area(heights: Values, along: Values) -> Values:
    """(b, k) curves from (0, 0), straight between points -> (b,) the area under each."""
    previous = np.pad(heights, ((0, 0), (1, 0)))[:, :-1]
    widths = np.diff(along, axis=1, prepend=0.0)
    areas: Values = (widths * (heights + previous) / 2).sum(axis=1)
    return areas


def average_precision(wanted: IntArray, others: IntArray) -> Values:
    """(b, k) counts in the order of the search -> (b,) precision, averaged over the wanted ones as they are found."""
    found = np.cumsum(wanted, axis=1)
    precision = found / np.maximum(found + np.cumsum(others, axis=1), 1)
    means: Values = (precision * wanted).sum(axis=1) / found[:, -1]
    return means
