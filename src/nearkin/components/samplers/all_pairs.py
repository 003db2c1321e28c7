"""All pairs of a batch: m images of each of a few classes, and every two of them compared."""

from __future__ import annotations

import numpy as np

from nearkin.components.samplers.m_per_class import MPerClass
from nearkin.components.samplers.options import AllPairsOptions
from nearkin.contracts import Batch, Build, Pairs


class AllPairs:
    """Batches of classes * m items with all their pairs, each a function of labels, options, seed and step alone.

    Embedding an image costs far more than comparing two embeddings, so 128 images teach with 8,128 pairs at the cost
    of 64. Of two classes there are (classes - 1) * m / (m - 1) times as many as of one.
    """

    def __init__(self, options: AllPairsOptions, build: Build) -> None:
        self._images = MPerClass(options, build, sampler="all_pairs")
        self.steps_per_epoch = self._images.steps_per_epoch
        # Items come class by class, so the pairs lie at the same positions in every batch.
        classes = np.repeat(np.arange(self._images.per_batch), options.m)
        left, right = np.triu_indices(len(classes), k=1)
        same = classes[left] == classes[right]
        self._pairs = Pairs(left[same], right[same], left[~same], right[~same])

    def batch(self, step: int) -> Batch:
        """The items of one step, class by class, and all their pairs."""
        return Batch(self._images.batch(step).items, self._pairs)
