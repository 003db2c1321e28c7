"""Balanced pairs: as many of one class as of two, every class equally often, no image paired with itself."""

from __future__ import annotations

import math

import numpy as np

from nearkin.components.samplers.members import Members
from nearkin.components.samplers.options import BalancedPairsOptions
from nearkin.contracts import Batch, Build, IntArray, Pairs


class BalancedPairs:
    """Batches of pairs, each a function of the labels, the options, the seed and the step alone.

    Pairs are numbered over the whole run. Number i of one class is of class i mod c; number i of two classes
    takes the i-th entry of a fixed round of all c(c-1)/2 class pairs, so classes come equally often, whatever the
    batch size.
    """

    def __init__(self, options: BalancedPairsOptions, build: Build) -> None:
        self.members = Members.of(build)
        self.sizes = self.members.sizes
        self.members.require_two_classes(build, sampler="balanced_pairs")
        self.members.require(2, build, sampler="balanced_pairs", why="a pair")
        self.half = options.pairs // 2
        self.seed = build.seed
        rng = np.random.default_rng(build.seed)
        self.order = rng.permutation(len(self.sizes))
        self.strides = rng.permutation(np.arange(1, (len(self.sizes) + 1) // 2))
        self.steps_per_epoch = math.ceil(len(self.members.items) / options.pairs)

    def batch(self, step: int) -> Batch:
        """The pairs of one step, over its unique images."""
        rng = np.random.default_rng([self.seed, step])
        numbers = np.arange(step * self.half, (step + 1) * self.half)
        same = self._draw_same(numbers % len(self.sizes), rng)
        different = self._draw_different(self.class_pairs(numbers), rng)
        items, positions = np.unique(np.concatenate([same, different]), return_inverse=True)
        a1, p, a2, n = positions.reshape(2, self.half, 2).transpose(0, 2, 1).reshape(4, self.half)
        return Batch(items=items, structure=Pairs(a1, p, a2, n))

    def class_pairs(self, numbers: IntArray) -> IntArray:
        """(k,) -> (k, 2) classes: all c(c-1)/2 pairs in turn, every class twice in each c of them.

        A round-robin: classes stand in a circle, and each is paired with the one a stride further; with an even
        number of classes the stride across the circle comes last, and meets each pair once.
        """
        n = len(self.order)
        turn, place = np.divmod(numbers % (n * (n - 1) // 2), n)
        strides = np.append(self.strides, n // 2)[turn]
        found: IntArray = self.order[np.stack([place, (place + strides) % n], axis=1)]
        return found

    def _draw_same(self, classes: IntArray, rng: np.random.Generator) -> IntArray:
        """(k,) classes -> (k, 2) two different items of each."""
        sizes = self.sizes[classes]
        first = rng.integers(sizes)
        second = (first + rng.integers(1, sizes)) % sizes
        return np.stack([self.members.pick(classes, first), self.members.pick(classes, second)], axis=1)

    def _draw_different(self, class_pairs: IntArray, rng: np.random.Generator) -> IntArray:
        """(k, 2) classes -> (k, 2) an item of each."""
        return self.members.pick(class_pairs, rng.integers(self.sizes[class_pairs]))
