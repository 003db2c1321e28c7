"""The image store: every image decoded once, at the backbone's size; all bad files named before anything else."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from nearkin.contracts import FloatArray, InputSpec
from nearkin.data.images import BadImage, fit
from nearkin.data.items import Item
from nearkin.data.sources import Source
from nearkin.data.splits import SPLITS, Dataset
from nearkin.errors import DataError, listing
from nearkin.files import sha256, to_json

Decoded = tuple[FloatArray, str]
"""(channels, h, w) and the digest of the whole image."""


class ImageStore:
    """Decoded images and their digests, by item."""

    def __init__(self, keys: Sequence[str], images: FloatArray, digests: Sequence[str]) -> None:
        self._row = {key: row for row, key in enumerate(keys)}
        self._images = images
        self._digests = tuple(digests)

    @classmethod
    def load(cls, source: Source, items: Sequence[Item], spec: InputSpec) -> ImageStore:
        """Decode all items on a few threads. `DataError` lists every one that cannot be used, with its reason."""

        def one(item: Item) -> Decoded | BadImage:
            try:
                picture = source.load(item)
                return fit(picture.pixels, spec), picture.digest
            except BadImage as bad:
                return bad

        with ThreadPoolExecutor(max_workers=os.cpu_count()) as threads:
            done = list(threads.map(one, items))
        bad = [str(result) for result in done if isinstance(result, BadImage)]
        if bad:
            raise DataError(
                f"{len(bad)} of {len(items)} images cannot be used; nothing was trained:\n" + "\n".join(bad)
            )
        good = [result for result in done if not isinstance(result, BadImage)]
        images = (
            np.stack([image for image, _ in good]) if good else np.zeros((0, spec.channels, *spec.size), np.float32)
        )
        return cls([item.key for item in items], images, [digest for _, digest in good])

    def images(self, items: Sequence[Item]) -> FloatArray:
        """(n, channels, h, w) in [0, 1], in the items' order."""
        found: FloatArray = self._images[[self._row[item.key] for item in items]]
        return found

    def digests(self, items: Sequence[Item]) -> tuple[str, ...]:
        """Each item's hash of its decoded pixels."""
        return tuple(self._digests[self._row[item.key]] for item in items)

    def fingerprint(self, dataset: Dataset) -> str:
        """A hash of which images, labels, groups and splits there are; the files' order does not matter."""
        rows = [
            [split, item.key, item.label, item.group, digest]
            for split in SPLITS
            for item, digest in zip(dataset.items[split], self.digests(dataset.items[split]), strict=True)
        ]
        return sha256(to_json(sorted(rows)))

    def copies(self, dataset: Dataset) -> list[str]:
        """What a user should hear about images that stand in several places of the data, pixel for pixel."""
        labels: dict[str, set[str]] = defaultdict(set)
        splits: dict[str, set[str]] = defaultdict(set)
        for split in SPLITS:
            for item, digest in zip(dataset.items[split], self.digests(dataset.items[split]), strict=True):
                labels[digest].add(item.label)
                splits[digest].add(split)
        notes = []
        if two_ways := [sorted(names) for names in labels.values() if len(names) > 1]:
            said = listing([" and ".join(names) for names in two_ways])
            notes.append(f"{len(two_ways)} images carry more than one label ({said}): one of them is wrong.")
        if leaks := sum(len(names) > 1 for names in splits.values()):
            notes.append(f"{leaks} images stand in more than one split, pixel for pixel; figures leave copies out.")
        return notes
