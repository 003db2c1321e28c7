"""Exact distances: the one arithmetic that every decision of the index rests on.

Computed by differences in float64, an entry at a time: so an image scores the same alone or in a batch, bit for
bit, and small distances keep their digits. A matrix product promises neither.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from nearkin.contracts import FloatArray, IntArray, Metric

HELD = 2**22
"""Distances held at a time: 16 MiB."""
CHUNK = 2**18
"""Numbers held at a time (2 MiB of float64): they stay in the processor's cache."""
PAIRS = 2**17
"""Numbers of pairs held at a time: allocating more costs more than computing."""


def distances(queries: NDArray[np.floating], references: NDArray[np.floating], metric: Metric) -> FloatArray:
    """(q, d), (n, d) -> (q, n) float32. `l2` is not squared; `cosine` is 1 - cos in [0, 2].

    A zero vector's cosine to anything counts as 0. Memory: the result and `CHUNK` numbers.
    """
    left, right = (_as_compared(vectors.astype(np.float64), metric) for vectors in (queries, references))
    out = np.empty((len(left), len(right)), dtype=np.float32)
    for rows, columns in _tiles(len(left), len(right), left.shape[1]):
        out[rows, columns] = _apart(left[rows, None, :], right[None, columns, :], metric)
    return out


def distances_of_pairs(
    queries: NDArray[np.floating], rows: IntArray, references: NDArray[np.floating], at: IntArray, metric: Metric
) -> FloatArray:
    """(q, d) and (t,) which of them, (n, d) and (t,) which of them -> (t,), to the last bit as `distances`."""
    out = np.empty(len(rows), dtype=np.float32)
    for some in row_chunks(len(rows), queries.shape[1], PAIRS):
        left = _as_compared(queries[rows[some]].astype(np.float64), metric)
        right = _as_compared(references[at[some]].astype(np.float64), metric)
        out[some] = _apart(left[:, None], right[:, None], metric)[:, 0]
    return out


def unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, d) -> (n, d) of length 1; zero vectors stay."""
    # Scaled by the largest entry first, so that neither very small nor very large ones lose digits when squared.
    largest = np.abs(vectors).max(axis=1, keepdims=True, initial=0.0)
    scaled = vectors / np.where(largest > 0, largest, 1.0)
    lengths = np.sqrt((scaled * scaled).sum(axis=1, keepdims=True))
    unit_vectors: NDArray[np.float64] = scaled / np.where(lengths > 0, lengths, 1.0)
    return unit_vectors


def row_chunks(n_rows: int, row_size: int, at_most: int) -> Iterator[slice]:
    """Slices over `n_rows` rows, each of at most `at_most` numbers, or of one row."""
    step = max(1, at_most // max(1, row_size))
    return (slice(start, min(start + step, n_rows)) for start in range(0, n_rows, step))


def _tiles(n_queries: int, n_references: int, dim: int) -> Iterator[tuple[slice, slice]]:
    for columns in row_chunks(n_references, dim, CHUNK):
        width = columns.stop - columns.start
        for rows in row_chunks(n_queries, width * dim, CHUNK):
            yield rows, columns


def _as_compared(vectors: NDArray[np.float64], metric: Metric) -> NDArray[np.float64]:
    return unit(vectors) if metric == "cosine" else vectors


def _apart(left: NDArray[np.float64], right: NDArray[np.float64], metric: Metric) -> NDArray[np.float64]:
    """(q, 1, d), (q or 1, n, d) -> (q, n). Each sum runs over one contiguous row, whatever q and n are."""
    apart = left - right
    if metric == "l1":
        return np.asarray(np.abs(apart, out=apart).sum(axis=2))
    squared = np.multiply(apart, apart, out=apart).sum(axis=2)
    return np.asarray(np.sqrt(squared) if metric == "l2" else _one_minus_cosine(squared, left, right))


def _one_minus_cosine(
    squared: NDArray[np.float64], left: NDArray[np.float64], right: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(q, n) |u - v|^2 of unit vectors is twice 1 - cos; a zero vector leaves 1 out."""
    zeros = ~left.any(axis=2) * 1.0 + ~right.any(axis=2) * 1.0
    return np.clip((squared + zeros) / 2, 0.0, 2.0)
