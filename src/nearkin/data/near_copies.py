"""Copies: images that are the same pixel for pixel, and images that only look the same."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from nearkin.contracts import FloatArray, IntArray
from nearkin.data.looks import Look

BITS_APART = 12
"""Of 63 bits of the perceptual hash: up to here a pair is looked at more closely. Unrelated ones are about 31 apart."""
ALIKE = 0.95
"""The rank correlation from which two images are taken for one. On chest X-rays pairs of one image lie above 0.96, of
two patients below 0.945."""
BLOCK = 2048
"""Images compared at a time."""


@dataclass(frozen=True)
class Pair:
    """Two images that are one image, or nearly."""

    a: Look
    b: Look
    exact: bool
    likeness: float
    """Rank correlation of the two views: 1 for a copy."""

    @property
    def keys(self) -> tuple[str, str]:
        """Both names."""
        return self.a.item.key, self.b.item.key


def find_pairs(looks: Sequence[Look], likeness: float = ALIKE) -> list[Pair]:
    """Exact copies by the digest of their pixels; near ones by perceptual hash, then by the views' rank correlation.

    Two steps, because a hash of 63 bits alone calls many chest X-rays alike. No network's embedding: ImageNet features
    put copies with another contrast farther apart than many patients (docs/xrays.md).
    """
    exact = [Pair(a, b, True, 1.0) for group in _by_digest(looks) for a, b in combinations(group, 2)]
    near = [
        Pair(looks[i], looks[j], False, found)
        for i, j, found in _near(looks, likeness)
        if looks[i].digest != looks[j].digest
    ]
    return exact + sorted(near, key=lambda pair: (-pair.likeness, pair.keys))


def _by_digest(looks: Sequence[Look]) -> list[list[Look]]:
    same: dict[str, list[Look]] = defaultdict(list)
    for look in looks:
        same[look.digest].append(look)
    return [group for group in same.values() if len(group) > 1]


def _near(looks: Sequence[Look], likeness: float) -> Iterator[tuple[int, int, float]]:
    """(i, j, correlation), i < j, of all pairs that pass both steps."""
    views = standardised(looks)
    for block, apart in bits_apart(looks):
        rows, columns = np.nonzero(apart <= BITS_APART)
        for row, column in zip(block[rows].tolist(), columns.tolist(), strict=True):
            if row < column:
                found = float(views[row] @ views[column])
                if found >= likeness:
                    yield row, column, found


def bits_apart(looks: Sequence[Look]) -> Iterator[tuple[IntArray, FloatArray]]:
    """Block after block: (b,) rows of the looks, and (b, n) in how many bits their hashes differ from each of all."""
    bits = np.stack([look.phash for look in looks]) if looks else np.zeros((0, 63), bool)
    signs = np.where(bits, 1.0, -1.0).astype(np.float32)
    for start in range(0, len(looks), BLOCK):
        rows = np.arange(start, min(start + BLOCK, len(looks)))
        # The product of two rows of signs is their length less twice the bits that differ.
        yield rows, (signs.shape[1] - signs[rows] @ signs.T) / 2


def standardised(looks: Sequence[Look]) -> FloatArray:
    """(n, VIEW * VIEW) ranks of pixels, of mean 0 and length 1, so that a product of two is Spearman's correlation.

    Ranks, because a copy with another brightness, contrast or gamma keeps the order of its pixels.
    """
    flat = rankdata([look.view.ravel() for look in looks], axis=1) if looks else np.zeros((0, 1))
    centred = flat - flat.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    units: NDArray[np.float64] = centred / np.where(lengths > 0, lengths, 1)
    return units.astype(np.float32)


def leaks(pairs: Sequence[Pair]) -> tuple[str, ...]:
    """Keys of the test images that another split holds a copy of, or one that looks the same; sorted.

    The rule sees pixels alone, and no prediction.
    """
    sides = [(pair.a, pair.b) for pair in pairs] + [(pair.b, pair.a) for pair in pairs]
    return tuple(sorted({a.item.key for a, b in sides if a.item.side == "test" and b.item.side != "test"}))
