"""Members of classes: training items side by side by class, so that drawing some costs the same among any number."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nearkin.components.draws import draw_distinct
from nearkin.contracts import Build, IntArray
from nearkin.errors import DataError, listing


@dataclass(frozen=True)
class Members:
    """Training items sorted by class."""

    items: IntArray
    """(n,) items, those of one class side by side."""
    starts: IntArray
    """(c,) where each class begins."""
    sizes: IntArray
    """(c,) items of each class."""

    @classmethod
    def of(cls, build: Build) -> Members:
        """Of the training set."""
        labels = np.asarray(build.labels)
        sizes = np.bincount(labels, minlength=len(build.classes))
        return cls(np.argsort(labels, kind="stable"), np.cumsum(sizes) - sizes, sizes)

    def pick(self, classes: IntArray, places: IntArray) -> IntArray:
        """The item at each place (from 0) of each class."""
        found: IntArray = self.items[self.starts[classes] + places]
        return found

    def draw(self, classes: IntArray, count: int, rng: np.random.Generator) -> IntArray:
        """(k,) classes -> (k, count) different items of each, in random order."""
        places = draw_distinct(self.sizes[classes], count, rng)
        return self.pick(classes[:, None], rng.permuted(places, axis=0).T)

    def require_two_classes(self, build: Build, *, sampler: str) -> None:
        """`DataError` where there is nothing to tell apart."""
        if len(build.classes) < 2:
            raise DataError(f"sampler {sampler} needs two classes, and there is {list(build.classes)}. Name more.")

    def require(self, least: int, build: Build, *, sampler: str, why: str) -> None:
        """`DataError` names every class with fewer than `least` items: has, needs, and the mend."""
        short = [f"{build.classes[code]!r} has {self.sizes[code]}" for code in np.flatnonzero(self.sizes < least)]
        if short:
            raise DataError(
                f"sampler {sampler} needs {least} training images of each class ({why}); {listing(short)}. "
                "Raise data.shots, add images, or take the class out of data.known."
            )
