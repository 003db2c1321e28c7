"""m images of each of a few classes: for losses that find their own pairs or triplets among labels."""

from __future__ import annotations

import math

import numpy as np

from nearkin.components.samplers.members import Members
from nearkin.components.samplers.options import MPerClassOptions
from nearkin.contracts import Batch, Build


class MPerClass:
    """Batches of classes * m items, each a function of labels, options, seed and step alone."""

    def __init__(self, options: MPerClassOptions, build: Build, *, sampler: str = "m_per_class") -> None:
        self.m, self.seed = options.m, build.seed
        self.members = Members.of(build)
        self.n_classes = len(build.classes)
        self.members.require_two_classes(build, sampler=sampler)
        self.members.require(options.m, build, sampler=sampler, why="sampler.m")
        self.per_batch = min(options.classes, self.n_classes)
        self.steps_per_epoch = math.ceil(len(self.members.items) / (self.per_batch * options.m))

    def batch(self, step: int) -> Batch:
        """The items of one step, class by class."""
        rng = np.random.default_rng([self.seed, step])
        classes = rng.choice(self.n_classes, self.per_batch, replace=False)
        return Batch(self.members.draw(classes, self.m, rng).ravel())
