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


def check_independent(
    calibration: Calibration, references: References, trained: Trained, reviewed: Trained, metric: Metric
) -> None:
    """Raise `IndexCallError`, by name, where any trained the model, was chosen for review, or is a reference; or where
    its group does."""
    referenced = references.digests.distinct() - {""}
    groups = references.groups.distinct() - {""}
    vectors, bare = calibration.vectors, calibration.bare
    as_trained = same_images(vectors, bare, trained.vectors, trained.bare, metric)
    named = np.array([d in trained.digests for d in calibration.digests], dtype=bool)
    same = same_images(vectors, bare, references.vectors, references.digests.empty, metric)
    found = {
        "trained the model": named.tolist(),
        "have the embedding of an image that trained the model": (as_trained & ~same & ~named).tolist(),
        "are of a group that trained the model": [group in trained.groups for group in calibration.groups],
        "were chosen for review, and so are not as new images are": remembered(calibration, reviewed, metric).tolist(),
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
        mend = "Such items look nearer (or odder) than new images, and the promise would not hold. Calibrate on others."
        raise IndexCallError("\n".join([*problems, mend]))


def remembered(calibration: Calibration, memory: Trained, metric: Metric) -> NDArray[np.bool_]:
    """(m,) whether an item, an equal one, or one of its group is remembered."""
    pairs = zip(calibration.digests, calibration.groups, strict=True)
    named = np.array([d in memory.digests or group in memory.groups for d, group in pairs], dtype=bool)
    return named | same_images(calibration.vectors, calibration.bare, memory.vectors, memory.bare, metric)


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


def same_images(
    vectors: FloatArray, bare: NDArray[np.bool_], others: FloatArray, others_bare: NDArray[np.bool_], metric: Metric
) -> NDArray[np.bool_]:
    """(m, d), (n, d) -> (m,) whether an embedding is one of the others', where the digests of the two cannot tell.

    `bare`, `others_bare`: which have none. Two images may have one embedding: a network that collapsed gives no other.
    """
    same = np.zeros(len(vectors), dtype=bool)
    for asked, known in ((bare, others), (~bare, others[others_bare])):
        if asked.any() and len(known):
            same[asked] = equal_to_any(vectors[asked], known, metric)
    return same


def equal_to_any(vectors: FloatArray, others: FloatArray, metric: Metric) -> NDArray[np.bool_]:
    """(m, d), (n, d) -> (m,) whether any of the others is of the same image. m, n >= 1."""
    chunks = row_chunks(len(vectors), len(others), HELD)
    nearest = [distances(vectors[rows], others, metric).min(axis=1) for rows in chunks]
    return np.asarray(np.concatenate(nearest) <= apart_at_most(vectors, metric))


def apart_at_most(vectors: FloatArray, metric: Metric) -> NDArray[np.float64]:
    """(m, d) -> (m,) how far from each an embedding of the same image may lie."""
    if metric == "cosine":
        return np.full(len(vectors), SAME**2 / 2)  # 1 - cos of two unit vectors that far apart
    return np.asarray(SAME * np.linalg.norm(vectors.astype(np.float64), ord=1 if metric == "l1" else 2, axis=1))
