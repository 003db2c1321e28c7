"""Which calibration items had a part in the model or the references: they would break the promise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nearkin.contracts import FloatArray, Metric
from nearkin.errors import IndexCallError, did_you_mean, listing
from nearkin.index.calibration import Calibration
from nearkin.index.distances import HELD, distances, row_chunks
from nearkin.index.references import References
from nearkin.index.trained import Trained

SAME = 1e-6
"""Embeddings as near as this, relative to their length, are of one image embedded in different batches."""


def check_independent(calibration: Calibration, references: References, trained: Trained, metric: Metric) -> None:
    """Raise `IndexCallError`, by name, where any trained the model, is a reference, or shares a group with either."""
    referenced = references.digests.distinct() - {""}
    groups = references.groups.distinct() - {""}
    bare = np.array([digest == "" for digest in calibration.digests], dtype=bool)
    as_trained = np.zeros(len(calibration), dtype=bool)
    if bare.any() and len(trained.vectors):
        as_trained[bare] = _any_equal(calibration.vectors[bare], trained.vectors, metric)
    same = _equals_reference(calibration, references, metric)
    found = {
        "trained the model": [d in trained.digests for d in calibration.digests],
        "have the embedding of an image that trained the model": (as_trained & ~same).tolist(),
        "are of a group that trained the model": [group in trained.groups for group in calibration.groups],
        "are references of the index": [d in referenced for d in calibration.digests],
        "have the embedding of a reference": same.tolist(),
        "are of a group that references are of": [group in groups - trained.groups for group in calibration.groups],
    }
    problems = [
        f"calibration items that {what}: {listing(calibration.name(i) for i in np.flatnonzero(which).tolist())}."
        for what, which in found.items()
        if any(which)
    ]
    if problems:
        mend = "Such items look nearer than new images do, and the promise would not hold. Calibrate on others."
        raise IndexCallError("\n".join([*problems, mend]))


def check_labels(calibration: Calibration, references: References) -> None:
    """Raise `IndexCallError` for labels that no reference has."""
    missing = [label for label in dict.fromkeys(calibration.labels) if label not in references.classes]
    if missing:
        raise IndexCallError(
            "\n".join(
                f"labels: no reference is labelled {label!r}.{did_you_mean(label, references.classes)} "
                "Add references of it first, or leave these items out."
                for label in missing
            )
        )


def _equals_reference(calibration: Calibration, references: References, metric: Metric) -> NDArray[np.bool_]:
    """(m,) whether an item's embedding is a reference's, where the digests of the two cannot tell."""
    same = np.zeros(len(calibration), dtype=bool)
    unnamed = references.digests.empty
    for item_named in (False, True):
        items = np.array([i for i, d in enumerate(calibration.digests) if bool(d) == item_named], dtype=np.int64)
        others = references.vectors[unnamed] if item_named else references.vectors
        if len(items) and len(others):
            same[items] = _any_equal(calibration.vectors[items], others, metric)
    return same


def _any_equal(vectors: FloatArray, others: FloatArray, metric: Metric) -> NDArray[np.bool_]:
    """(m, d), (n, d) -> (m,)"""
    if metric == "cosine":
        nearest_allowed = np.full(len(vectors), SAME**2 / 2)  # 1 - cos of two unit vectors that far apart
    else:
        nearest_allowed = SAME * np.linalg.norm(vectors.astype(np.float64), ord=1 if metric == "l1" else 2, axis=1)
    chunks = row_chunks(len(vectors), len(others), HELD)
    nearest = [distances(vectors[rows], others, metric).min(axis=1) for rows in chunks]
    return np.asarray(np.concatenate(nearest) <= nearest_allowed)
