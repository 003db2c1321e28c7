"""What FAISS's float32 sums can be off by, and its numbers as distances in the metric."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nearkin.contracts import FloatArray, Metric

EPSILON = float(np.finfo(np.float32).eps)


def in_metric(metric: Metric, rough: NDArray[np.floating]) -> FloatArray:
    """FAISS's squared l2 or inner product -> a distance."""
    if metric == "l2":
        rough = np.sqrt(np.maximum(rough, 0))
    elif metric == "cosine":
        rough = np.clip(1 - rough, 0, 2)
    return np.asarray(rough, dtype=np.float32)


def floor(metric: Metric, last: FloatArray, queries: FloatArray, longest: float) -> FloatArray:
    """(q,) what no vector beyond FAISS's last hit can be nearer than; `longest`: the largest norm of all vectors.

    A float32 sum of d products is off by at most about d * eps times the sum of their sizes (Higham 2002, ch. 3).
    """
    slack = (queries.shape[1] + 8) * EPSILON
    rough = last.astype(np.float64)
    if metric == "l1":
        beyond = rough * (1 - slack)
    elif metric == "cosine":
        beyond = 1 - rough - 2 * slack
    else:
        # Large batches are computed as |x|^2 + |y|^2 - 2 x.y, whose error grows with the norms.
        lengths = np.linalg.norm(queries.astype(np.float64), axis=1) + longest
        beyond = np.sqrt(np.maximum(rough - 2 * slack * lengths**2, 0))
    return np.asarray(np.maximum(beyond, 0), dtype=np.float32)
