"""The score `lof`: how much thinner it is around a query than around the references near it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nearkin.contracts import FittedScore, FloatArray, IntArray, Metric

NAMES = {"l1": "manhattan", "l2": "euclidean", "cosine": "cosine"}


@dataclass(frozen=True)
class Lof:
    """The local outlier factor of Breunig et al. 2000, each class by itself, as scikit-learn computes it.

    About 1 amid the references of a class, larger outside. With few references it is a coarse measure.
    """

    metric: Metric
    n_neighbors: int
    fewest: ClassVar[int] = 2
    nearest: ClassVar[int | None] = None

    def fit(self, vectors: FloatArray, codes: IntArray) -> FittedScore:
        """(n, d), (n,) -> the score."""
        from sklearn.neighbors import LocalOutlierFactor

        factors = []
        for code in range(codes.max(initial=-1) + 1):
            own = vectors[codes == code].astype(np.float64)
            n_neighbors = min(self.n_neighbors, len(own) - 1)
            factors.append(
                LocalOutlierFactor(n_neighbors=n_neighbors, metric=NAMES[self.metric], novelty=True).fit(own)
            )

        def score(queries: FloatArray) -> FloatArray:
            asked = queries.astype(np.float64)
            return np.stack([-one.score_samples(asked) for one in factors], axis=1).astype(np.float32)

        return score
