"""The scores `mahalanobis` and `relative_mahalanobis`: classes as Gaussians with a shrunk covariance.

The covariance is Ledoit and Wolf's (2004): the sample's, drawn towards a multiple of the identity as far as few
references make it noisy. So it is never singular, and with few references the score nears the distance to the mean;
where they do not vary at all, it is that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from nearkin.contracts import FittedScore, FloatArray, IntArray, Metric
from nearkin.index.distances import unit
from nearkin.index.scores.prototype import class_means

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Mahalanobis:
    """sqrt((z - m_c)' S^-1 (z - m_c)): Lee et al. 2018, eq. 2, with one S for all classes, or one a class.

    Under cosine, vectors count at length 1.
    """

    metric: Metric
    shared: bool
    fewest: ClassVar[int] = 2
    nearest: ClassVar[int | None] = None

    def fit(self, vectors: FloatArray, codes: IntArray) -> FittedScore:
        """(n, d), (n,) -> the score."""
        points = prepared(vectors, self.metric)
        means = class_means(points, codes)
        apart = points - means[codes]
        parts = [apart] if self.shared else [apart[codes == code] for code in range(len(means))]
        gaussians = [Gaussian.around(means[code], parts[0 if self.shared else code]) for code in range(len(means))]

        def score(queries: FloatArray) -> FloatArray:
            asked = prepared(queries, self.metric)
            return np.stack([np.sqrt(one.squared(asked)) for one in gaussians], axis=1).astype(np.float32)

        return score


@dataclass(frozen=True)
class RelativeMahalanobis:
    """Squared Mahalanobis distance to the class, less that to one Gaussian over all: Ren et al. 2021, eq. 3.

    What is far from everything in directions that tell no class from another counts less. Under cosine, vectors
    count at length 1.
    """

    metric: Metric
    fewest: ClassVar[int] = 2
    nearest: ClassVar[int | None] = None

    def fit(self, vectors: FloatArray, codes: IntArray) -> FittedScore:
        """(n, d), (n,) -> the score."""
        points = prepared(vectors, self.metric)
        means, middle = class_means(points, codes), points.mean(axis=0)
        background = Gaussian.around(middle, points - middle)
        within = Gaussian.around(middle, points - means[codes])

        def score(queries: FloatArray) -> FloatArray:
            asked = prepared(queries, self.metric)
            everywhere = background.squared(asked)
            own = [within.moved_to(mean).squared(asked) - everywhere for mean in means]
            return np.stack(own, axis=1).astype(np.float32)

        return score


@dataclass(frozen=True)
class Gaussian:
    """A mean, and what makes its covariance the identity."""

    mean: Float64
    """(d,)"""
    whiten: Float64
    """(d, d)"""

    @classmethod
    def around(cls, mean: Float64, apart: Float64) -> Gaussian:
        """(d,), (n, d) differences from it -> the Gaussian that they were drawn from, shrunk."""
        from sklearn.covariance import ledoit_wolf

        covariance, _ = ledoit_wolf(apart, assume_centered=True)
        variances, axes = np.linalg.eigh(covariance)
        if not variances.max() > 0:
            variances = np.ones_like(variances)
        return cls(mean, axes / np.sqrt(np.maximum(variances, variances.max() * np.finfo(np.float64).eps)))

    def moved_to(self, mean: Float64) -> Gaussian:
        """The same around another mean."""
        return Gaussian(mean, self.whiten)

    def squared(self, points: Float64) -> Float64:
        """(q, d) -> (q,) squared Mahalanobis distances."""
        squared: Float64 = (((points - self.mean) @ self.whiten) ** 2).sum(axis=1)
        return squared


def prepared(vectors: FloatArray, metric: Metric) -> Float64:
    """(n, d) float32 -> (n, d) float64, of length 1 under cosine."""
    points = vectors.astype(np.float64)
    return unit(points) if metric == "cosine" else points
