"""The score `prototype`: the distance to the mean of a class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from nearkin.contracts import FittedScore, FloatArray, IntArray, Metric
from nearkin.index.distances import distances


@dataclass(frozen=True)
class Prototype:
    """One reference a class is enough: the mean is then that one."""

    metric: Metric
    fewest: ClassVar[int] = 1
    nearest: ClassVar[int | None] = None

    def fit(self, vectors: FloatArray, codes: IntArray) -> FittedScore:
        """(n, d), (n,) -> the score."""
        means = class_means(vectors.astype(np.float64), codes)
        return lambda queries: distances(queries, means, self.metric)


def class_means(vectors: NDArray[np.float64], codes: IntArray) -> NDArray[np.float64]:
    """(n, d), (n,) codes 0..c-1 -> (c, d)."""
    order = np.argsort(codes, kind="stable")
    counts = np.bincount(codes)
    sums = np.add.reduceat(vectors[order], np.cumsum(counts) - counts, axis=0)
    means: NDArray[np.float64] = sums / counts[:, None]
    return means
