"""How good an embedding is on the select split: the one number that early stopping looks at."""

from __future__ import annotations

import numpy as np

from nearkin.contracts import FloatArray, IntArray, Metric
from nearkin.index.distances import distances


def pair_auc(embeddings: FloatArray, labels: IntArray, metric: Metric) -> float:
    """How often an image is nearer to one of its own class than to one of another: (n, d), (n,) -> [0, 1].

    The area under the ROC curve of each image's distances to all others, averaged over images; 0.5 is chance,
    ties count half. Finer than accuracy where there are few images.
    """
    apart = distances(embeddings, embeddings, metric)
    return float(np.mean([_query_auc(row, labels == labels[i], i) for i, row in enumerate(apart)]))


def _query_auc(row: FloatArray, same: np.ndarray, query: int) -> float:
    """(n,) distances of one query, (n,) whether of its class."""
    others = np.arange(len(row)) != query
    near, far = row[same & others], np.sort(row[~same])
    below = np.searchsorted(far, near, side="left") + np.searchsorted(far, near, side="right")
    return float(1 - below.mean() / (2 * len(far)))
