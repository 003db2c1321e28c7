"""The ROC curve of a distance that tells pairs of one class from pairs of two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from nearkin.contracts import FloatArray

Rates = NDArray[np.float64]


@dataclass(frozen=True)
class Roc:
    """Every way to cut by distance: nothing accepted, then all up to each different distance.

    Pairs of one distance are accepted together; between two cuts lies the line that a coin among them would reach.
    """

    far: Rates
    """(k + 1,) the share of pairs of two classes that are accepted: FAR, or false positive rate."""
    tar: Rates
    """(k + 1,) the share of pairs of one class that are accepted: TAR, or true positive rate."""
    distances: FloatArray
    """(k,) different distances, ascending."""

    @classmethod
    def of(cls, same: FloatArray, different: FloatArray) -> Roc:
        """From the distances of pairs of one class and of two."""
        distances, place = np.unique(np.concatenate([same, different]), return_inverse=True)
        k, n_same = len(distances), len(same)
        accepted = [np.bincount(part, minlength=k) for part in (place[n_same:], place[:n_same])]
        far, tar = (np.r_[0.0, np.cumsum(counts)] / counts.sum() for counts in accepted)
        return cls(far, tar, distances)

    def auc(self) -> float:
        """The chance that a pair of one class is nearer than a pair of two; ties count a half."""
        return float((np.diff(self.far) * (self.tar[1:] + self.tar[:-1]) / 2).sum())

    def equal_error_rate(self) -> float:
        """Where as many pairs of two classes are accepted as pairs of one are refused."""
        surplus = self.far + self.tar - 1  # rises from -1 to 1
        after = int(np.argmax(surplus >= 0))
        share = -surplus[after - 1] / (surplus[after] - surplus[after - 1])
        return float(self.far[after - 1] + share * (self.far[after] - self.far[after - 1]))

    def tar_at(self, far: float) -> float:
        """The largest TAR of a cut whose FAR is at most this."""
        return float(self.tar[np.searchsorted(self.far, far * (1 + 1e-9), side="right") - 1])

    def at(self, distance: float) -> tuple[float, float]:
        """FAR and TAR where all up to this distance is accepted."""
        cut = np.searchsorted(self.distances, distance, side="right")
        return float(self.far[cut]), float(self.tar[cut])

    def best_cut(self) -> float:
        """The distance up to which to accept so that TAR - FAR is largest, midway to the next that occurred.

        Of equally good cuts the strictest.
        """
        at = int(np.argmax(self.tar - self.far))
        if at == 0:
            return float(np.nextafter(self.distances[0], -np.inf))
        return float(self.distances[at - 1 : at + 1].mean(dtype=np.float64))
