"""Distances between all items, a block of rows at a time: fast, and equal wherever embeddings are equal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nearkin.contracts import Metric
from nearkin.index.distances import HELD, row_chunks, unit

if TYPE_CHECKING:
    from nearkin.contracts import FloatArray, IntArray


class Pairwise:
    """Distances from any rows to all rows, in the index's metrics (`l2` not squared, `cosine` = 1 - cos).

    Figures rest on ties, and a matrix product may round equal columns differently: so it is taken of the different
    vectors alone, in float64 around their mean, and each result is rounded to float32 once.
    """

    def __init__(self, vectors: FloatArray, metric: Metric) -> None:
        different, place = np.unique(vectors, axis=0, return_inverse=True)
        self._all_differ = len(different) == len(vectors)
        if self._all_differ:
            different, place = vectors, np.arange(len(vectors))
        self._place: IntArray = place.reshape(-1)  # numpy 2.0 gave it another shape
        self._metric: Metric = metric
        self._vectors = np.ascontiguousarray(different)
        if metric != "l1":
            self._left, self._right = factors(different.astype(np.float64), metric)
            self._own = np.where(different.any(axis=1) | (metric == "l2"), 0.0, 1.0)

    def rows(self, chosen: IntArray) -> FloatArray:
        """(b,) positions -> (b, n) float32 distances to all items."""
        places = self._place[chosen]
        found = self._l1(places) if self._metric == "l1" else self._by_product(places)
        return found if self._all_differ else np.take(found, self._place, axis=1)

    def all(self) -> FloatArray:
        """(n, n) distances."""
        return self.rows(np.arange(len(self._place)))

    def _l1(self, places: IntArray) -> FloatArray:
        import faiss

        found: FloatArray = faiss.pairwise_distances(self._vectors[places], self._vectors, metric=faiss.METRIC_L1)
        return found

    def _by_product(self, places: IntArray) -> FloatArray:
        found: FloatArray = (self._left[places] @ self._right.T).astype(np.float32)
        np.maximum(found, 0, out=found)
        if self._metric == "l2":
            np.sqrt(found, out=found)
        # The product leaves a remainder of rounding where a vector meets itself.
        found[np.arange(len(places)), places] = self._own[places]
        return found


def factors(vectors: NDArray[np.float64], metric: Metric) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(n, d) -> two (n, d + 2) whose product is every squared L2 distance, or every 1 - cos.

    |x - y|^2 = |x|^2 + |y|^2 - 2 x.y; half of that, of vectors of length 1, is 1 - cos.
    """
    if metric == "cosine":
        vectors = unit(vectors) / np.sqrt(2)
    # A zero vector's cosine to anything counts as 0: half of 1 is missing for each.
    missing = np.where(vectors.any(axis=1) | (metric == "l2"), 0.0, 0.5)
    centred = vectors - vectors.mean(axis=0) if len(vectors) else vectors
    squares, ones = (centred * centred).sum(axis=1) + missing, np.ones(len(vectors))
    return np.column_stack([-2 * centred, squares, ones]), np.column_stack([centred, ones, squares])


def blocks(rows: IntArray, n: int) -> Iterator[IntArray]:
    """Positions in parts, so that a part's distances to n items stay within `HELD`."""
    return (rows[part] for part in row_chunks(len(rows), n, HELD))
