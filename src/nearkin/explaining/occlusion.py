"""Occlusion: how much a score falls where a patch of the image is smoothed away (Zeiler and Fergus 2014, sec. 4.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from scipy.ndimage import gaussian_filter

from nearkin.contracts import FloatArray

Score = Callable[[FloatArray], FloatArray]
"""(n, channels, h, w) in [0, 1] -> (n,), higher is more alike."""
AT_A_TIME = 256
"""Changed images held at once."""


def occlusion_map(score: Score, image: FloatArray, *, patch: int, stride: int) -> FloatArray:
    """(channels, h, w) -> (h, w), not negative: the mean fall of the score over the patches that cover a pixel.

    A patch is replaced by the image blurred over its own width, so that what vanishes is the detail in it and no new
    edge of a gray square comes in. Where the score rises, the region spoke against the likeness: it counts as 0.
    """
    blurred = np.stack([gaussian_filter(channel, sigma=patch / 2, mode="nearest") for channel in image])
    height, width = image.shape[1:]
    places = [(top, left) for top in _starts(height, patch, stride) for left in _starts(width, patch, stride)]
    whole = float(score(image[None])[0])
    falls, covered = np.zeros((height, width)), np.zeros((height, width))
    for chunk in _chunks(places):
        changed = np.repeat(image[None], len(chunk), axis=0)
        for row, (top, left) in enumerate(chunk):
            where = (slice(None), slice(top, top + patch), slice(left, left + patch))
            changed[(row, *where)] = blurred[where]
        for (top, left), fall in zip(chunk, whole - score(changed), strict=True):
            falls[top : top + patch, left : left + patch] += max(float(fall), 0.0)
            covered[top : top + patch, left : left + patch] += 1
    return (falls / covered).astype(np.float32)


def _starts(size: int, patch: int, stride: int) -> list[int]:
    """Where patches begin along one side; the last one ends at the edge."""
    return sorted({*range(0, size - patch + 1, stride), size - patch})


def _chunks(places: list[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    return (places[start : start + AT_A_TIME] for start in range(0, len(places), AT_A_TIME))
