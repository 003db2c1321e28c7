"""Balls around classes: how near one can be at the least, without looking at any of its references."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nearkin.contracts import FloatArray, Metric
from nearkin.index.distances import HELD, row_chunks, unit
from nearkin.index.references import References

DOWN = 1 - 1e-6
"""Bounds are drawn in so far: beyond what distances in float32 are rounded by."""


@dataclass(frozen=True, eq=False)
class Balls:
    """The mean of each class, and how far its references are from that at the most."""

    metric: Metric
    centres: NDArray[np.float64]
    """(c, d) under cosine of vectors of length 1."""
    radii: NDArray[np.float64]
    """(c,) under cosine in l2."""

    @classmethod
    def around(cls, references: References, metric: Metric) -> Balls:
        """In two passes over the store, a part at a time: it may be larger than memory."""
        dim, codes = references.vectors.shape[1], references.codes
        sums, radii = np.zeros((len(references.classes), dim)), np.zeros(len(references.classes))
        chunks = list(row_chunks(len(references), dim, HELD))
        for rows in chunks:
            order = np.argsort(codes[rows], kind="stable")
            present, begins = np.unique(codes[rows][order], return_index=True)
            sums[present] += np.add.reduceat(_compared(references.vectors[rows], metric)[order], begins, axis=0)
        centres = sums / references.counts[:, None]
        for rows in chunks:
            apart = _compared(references.vectors[rows], metric) - centres[codes[rows]]
            np.maximum.at(radii, codes[rows], np.linalg.norm(apart, ord=1 if metric == "l1" else 2, axis=1))
        return cls(metric, centres, radii)

    def at_least(self, queries: FloatArray) -> FloatArray:
        """(q, d) -> (q, c): no reference of the class is nearer."""
        return self.bounds(self.to_centres(queries))

    def to_centres(self, queries: FloatArray) -> NDArray[np.float64]:
        """(q, d) -> (q, c) how far the means are; under cosine in l2."""
        from scipy.spatial.distance import cdist

        named = "cityblock" if self.metric == "l1" else "euclidean"
        return np.asarray(cdist(_compared(queries, self.metric), self.centres, named))

    def bounds(self, apart: NDArray[np.float64]) -> FloatArray:
        """(q, c) how far the means are -> what their classes' references are at least.

        By the triangle inequality; 1 - cos of vectors of length 1 is half their squared distance.
        """
        bound = np.maximum(DOWN * apart - self.radii / DOWN, 0)
        if self.metric == "cosine":
            bound = DOWN * bound**2 / 2
        return np.asarray(DOWN * bound, dtype=np.float32)

    def about(self, apart: NDArray[np.float64]) -> NDArray[np.float64]:
        """(q, c) -> what the nearest reference of each class may well be away: a guess, which nothing rests on.

        As if the way on from the mean were at right angles to the way there, as it is in many dimensions.
        """
        far = np.hypot(apart, self.radii)
        return far**2 / 2 if self.metric == "cosine" else far


def _compared(vectors: FloatArray, metric: Metric) -> NDArray[np.float64]:
    """(n, d) in float64, under cosine of length 1."""
    wide = vectors.astype(np.float64)
    return unit(wide) if metric == "cosine" else wide
