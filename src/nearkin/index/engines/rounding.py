"""What FAISS's float32 sums can be off by, and its numbers as distances in the metric."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nearkin.contracts import FloatArray, Metric

EPSILON = float(np.finfo(np.float32).eps)
SMALLEST = float(np.finfo(np.float32).tiny)
"""What a square that is smaller than any float32 of full precision may be off by."""


def in_metric(metric: Metric, rough: NDArray[np.floating]) -> FloatArray:
    """FAISS's squared l2 or inner product -> a distance."""
    if metric == "l2":
        rough = np.sqrt(np.maximum(rough, 0))
    elif metric == "cosine":
        rough = np.clip(1 - rough, 0, 2)
    return np.asarray(rough, dtype=np.float32)


def bounds(
    metric: Metric, found: NDArray[np.floating], queries: FloatArray, longest: float
) -> tuple[FloatArray, FloatArray]:
    """(q, k) FAISS's numbers -> (q, k) what the distances are at least, and at most.

    A float32 sum of d products is off by at most about d * eps times the sum of their sizes (Higham 2002, ch. 3).
    """
    slack = (queries.shape[1] + 8) * EPSILON
    rough = found.astype(np.float64)
    if metric == "l1":
        least, most = rough * (1 - slack), rough * (1 + slack)
    elif metric == "cosine":
        least, most = 1 - rough - 2 * slack, 1 - rough + 2 * slack
    else:
        # Large batches are computed as |x|^2 + |y|^2 - 2 x.y, whose error grows with the norms.
        squares = np.einsum("qd,qd->q", queries, queries).astype(np.float64)
        lengths = (1 + slack) * np.sqrt(squares)[:, None] + longest
        error = 2 * slack * lengths**2 + queries.shape[1] * SMALLEST
        least, most = np.sqrt(np.maximum(rough - error, 0)), np.sqrt(np.maximum(rough + error, 0))
    return np.maximum(least, 0).astype(np.float32), np.maximum(most, 0).astype(np.float32)
