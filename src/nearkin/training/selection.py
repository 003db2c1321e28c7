"""How good an embedding is on the select split: the one number that early stopping looks at."""

from __future__ import annotations

import numpy as np

from nearkin.contracts import FloatArray, IntArray, Metric
from nearkin.errors import DataError
from nearkin.index.distances import distances


def refuse_unjudgeable(labels: IntArray) -> None:
    """`DataError` where no image of select has one of its own class and one of another beside it: (n,) labels."""
    if not len(_judgeable(labels)):
        raise DataError(
            "data.select: early stopping asks whether an image is nearer to one of its own class than to one of "
            f"another, and among the {len(labels)} images of select no image has both. Raise data.select to 2 or more, "
            "of two classes or more; or write 'train.early_stopping: null'."
        )


def pair_auc(embeddings: FloatArray, labels: IntArray, metric: Metric) -> float:
    """How often an image is nearer to one of its own class than to one of another: (n, d), (n,) -> [0, 1].

    The area under the ROC curve of each image's distances to all others, averaged over the images that have others of
    their class and of another; 0.5 is chance, ties count half. Finer than accuracy where there are few images.
    """
    apart = distances(embeddings, embeddings, metric)
    return float(np.mean([_query_auc(apart[i], labels == labels[i], i) for i in _judgeable(labels).tolist()]))


def _judgeable(labels: IntArray) -> IntArray:
    """(n,) -> the positions of images that have another of their class, and one of another class, beside them."""
    of_class = np.bincount(labels)[labels]
    return np.flatnonzero((of_class > 1) & (of_class < len(labels)))


def _query_auc(row: FloatArray, same: np.ndarray, query: int) -> float:
    """(n,) distances of one query, (n,) whether of its class."""
    others = np.arange(len(row)) != query
    near, far = row[same & others], np.sort(row[~same])
    below = np.searchsorted(far, near, side="left") + np.searchsorted(far, near, side="right")
    return float(1 - below.mean() / (2 * len(far)))
