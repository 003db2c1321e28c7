"""Balanced pairs: as many of one class as of two, every class equally often, no image paired with itself."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np

from nearkin.components.samplers.options import BalancedPairsOptions
from nearkin.contracts import Batch, Build, IntArray, Pairs
from nearkin.errors import DataError, listing


class BalancedPairs:
    """Batches of pairs, each a function of the labels, the options, the seed and the step alone.

    Pairs are numbered over the whole run. Number i of one class is of class i mod c; number i of two classes
    takes the i-th entry of a fixed order of all class pairs, so classes come equally often over any c (or
    c(c-1)/2) pairs in a row, whatever the batch size.
    """

    def __init__(self, options: BalancedPairsOptions, build: Build) -> None:
        labels = np.asarray(build.labels)
        rows = members_of_classes(labels, build.classes)
        self.sizes = np.array([len(row) for row in rows])
        self.items = np.concatenate(rows)
        self.starts = np.cumsum(self.sizes) - self.sizes
        self.half = options.pairs // 2
        self.seed = build.seed
        self.class_pairs = np.array(list(combinations(range(len(rows)), 2)))
        np.random.default_rng(build.seed).shuffle(self.class_pairs)
        self.steps_per_epoch = math.ceil(len(labels) / options.pairs)

    def batch(self, step: int) -> Batch:
        """The pairs of one step, over its unique images."""
        rng = np.random.default_rng([self.seed, step])
        numbers = np.arange(step * self.half, (step + 1) * self.half)
        same = self._draw_same(numbers % len(self.sizes), rng)
        different = self._draw_different(self.class_pairs[numbers % len(self.class_pairs)], rng)
        items, positions = np.unique(np.concatenate([same, different]), return_inverse=True)
        a1, p, a2, n = positions.reshape(2, self.half, 2).transpose(0, 2, 1).reshape(4, self.half)
        return Batch(items=items, structure=Pairs(a1, p, a2, n))

    def _draw_same(self, classes: IntArray, rng: np.random.Generator) -> IntArray:
        """(k,) classes -> (k, 2) two different items of each."""
        sizes = self.sizes[classes]
        first = rng.integers(sizes)
        second = (first + rng.integers(1, sizes)) % sizes
        return np.stack([self._item(classes, first), self._item(classes, second)], axis=1)

    def _draw_different(self, class_pairs: IntArray, rng: np.random.Generator) -> IntArray:
        """(k, 2) classes -> (k, 2) an item of each."""
        picks = rng.integers(self.sizes[class_pairs])
        return self._item(class_pairs, picks)

    def _item(self, classes: IntArray, picks: IntArray) -> IntArray:
        """The `picks`-th item of each class."""
        found: IntArray = self.items[self.starts[classes] + picks]
        return found


def members_of_classes(labels: IntArray, classes: tuple[str, ...]) -> list[IntArray]:
    """The items of each class, or an error that names every class that cannot make a pair."""
    rows = [np.flatnonzero(labels == code) for code in range(len(classes))]
    short = [f"{name!r} has {len(row)}" for name, row in zip(classes, rows, strict=True) if len(row) < 2]
    if short or len(classes) < 2:
        said = f"classes with too few training images: {listing(short)}" if short else f"classes: {list(classes)}"
        raise DataError(
            f"sampler balanced_pairs needs two classes and two images of each; {said}. "
            "Raise data.shots, add images, or take the class out of data.known."
        )
    return rows
