"""The score `scaled_knn`: how far the nearest references of a class are, beside how far they are from each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nearkin.contracts import FittedScore, FloatArray, IntArray, Metric
from nearkin.index.distances import distances


@dataclass(frozen=True)
class ScaledKnn:
    """Mean distance to the class's k nearest references, over the mean of the same among those references.

    About 1 amid a class whether its images lie close together or far apart, so that images rank alike whichever class
    they are near: by plain distance, every image of a wide class looks stranger than an unknown beside a narrow one.
    The nearest-neighbour description of Tax and Duin (2000), with the class's mean in place of one neighbour's own
    distance, which varies more. Within one class it ranks as the plain distance does.
    """

    metric: Metric
    k: int
    nearest: ClassVar[int | None] = None

    @property
    def fewest(self) -> int:
        """Each reference needs k others."""
        return self.k + 1

    def fit(self, vectors: FloatArray, codes: IntArray) -> FittedScore:
        """(n, d), (n,) -> the score."""
        by_class = [vectors[codes == code] for code in range(codes.max(initial=-1) + 1)]
        scales = [self._scale(own) for own in by_class]

        def score(queries: FloatArray) -> FloatArray:
            far = [self._mean(distances(queries, own, self.metric)) for own in by_class]
            return np.stack([apart / scale for apart, scale in zip(far, scales, strict=True)], axis=1)

        return score

    def _scale(self, own: FloatArray) -> np.float32:
        """Of one class: (n, d) -> the mean over its references; 1 where all are the same, and nothing can be said."""
        among = distances(own, own, self.metric)
        np.fill_diagonal(among, np.inf)
        scale = np.float32(self._mean(among).mean())
        return scale if scale > 0 else np.float32(1)

    def _mean(self, far: FloatArray) -> FloatArray:
        """(q, n) distances -> (q,) the mean of each row's k least."""
        means: FloatArray = np.partition(far, self.k - 1, axis=1)[:, : self.k].mean(axis=1)
        return means
