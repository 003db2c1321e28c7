"""Random triplets: anchor and positive of one class, the negative of any other; every class anchors equally often."""

from __future__ import annotations

import math

import numpy as np

from nearkin.components.samplers.members import Members
from nearkin.components.samplers.options import TripletsOptions
from nearkin.contracts import Batch, Build, Triplets


class RandomTriplets:
    """Batches of triplets, each a function of labels, options, seed and step alone.

    Triplets are numbered over the whole run, and number i is anchored by class i mod c. For hard or semi-hard ones
    take a sampler that yields labels, and a loss with a miner.
    """

    def __init__(self, options: TripletsOptions, build: Build) -> None:
        self.count, self.seed = options.triplets, build.seed
        self.members = Members.of(build)
        self.n_classes = len(build.classes)
        self.members.require_two_classes(build, sampler="triplets")
        self.members.require(2, build, sampler="triplets", why="an anchor and a positive")
        self.steps_per_epoch = math.ceil(len(self.members.items) / options.triplets)

    def batch(self, step: int) -> Batch:
        """The triplets of one step, over their unique images."""
        rng = np.random.default_rng([self.seed, step])
        classes = np.arange(step * self.count, (step + 1) * self.count) % self.n_classes
        same = self.members.draw(classes, 2, rng)
        others = (classes + rng.integers(1, self.n_classes, self.count)) % self.n_classes
        negatives = self.members.draw(others, 1, rng)
        items, places = np.unique(np.concatenate([same, negatives], axis=1), return_inverse=True)
        a, p, n = places.reshape(self.count, 3).T
        return Batch(items, Triplets(a, p, n))
