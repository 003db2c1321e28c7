"""The score `knn`: the distance to the k-th nearest reference of a class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nearkin.contracts import FittedScore, FloatArray, IntArray, Metric
from nearkin.index.distances import distances


@dataclass(frozen=True)
class Knn:
    """An index takes this score from its engine's search; `fit` says the same, looking at every reference."""

    metric: Metric
    k: int

    @property
    def fewest(self) -> int:
        """A class needs k references to have a k-th nearest."""
        return self.k

    @property
    def nearest(self) -> int:
        """k."""
        return self.k

    def fit(self, vectors: FloatArray, codes: IntArray) -> FittedScore:
        """(n, d), (n,) -> the score."""
        by_class = [vectors[codes == code] for code in range(codes.max(initial=-1) + 1)]

        def score(queries: FloatArray) -> FloatArray:
            far = [distances(queries, own, self.metric) for own in by_class]
            return np.stack([np.partition(apart, self.k - 1, axis=1)[:, self.k - 1] for apart in far], axis=1)

        return score
