"""The image store: every image decoded once, at the backbone's size; all bad files named before anything else."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from nearkin.contracts import FloatArray, InputSpec, IntArray, Split
from nearkin.data.images import BadImage
from nearkin.data.items import Item
from nearkin.data.preparing import prepared
from nearkin.data.sources import Source
from nearkin.data.splits import SPLITS, Dataset
from nearkin.errors import DataError, listing
from nearkin.files import sha256, to_json
from nearkin.recipe.preparation import Preparation

MOST_THREADS = 8
"""Each may hold one whole image, of up to 100 million pixels."""
Room = Callable[[tuple[int, ...]], FloatArray]
"""Gives an array of a shape to decode into."""
Decoded = tuple[FloatArray, str]
"""(channels, h, w) and the digest of the whole image."""


@dataclass(frozen=True)
class Conflicts:
    """Images that stand in several places of the data, pixel for pixel, and disagree."""

    labels: Mapping[str, tuple[Item, ...]]
    """By digest, where the copies carry more than one label."""
    splits: Mapping[str, tuple[Item, ...]]
    """By digest, where the copies stand in more than one split."""

    flattering: tuple[str, ...] = ()
    """Keys of calibrate items of which train or select holds a copy."""

    def refuse_flattering(self) -> None:
        """`DataError` where calibrate holds a copy of what trains: the index would refuse it when all is trained."""
        if self.flattering:
            raise DataError(
                f"{len(self.flattering)} images to calibrate on are copies, pixel for pixel, of images to train or "
                f"select on, and would break the promise of 'unknown': {listing(self.flattering)}. "
                "Remove the copies, or give copies the same group in the manifest."
            )

    def notes(self) -> list[str]:
        """What a user should hear."""
        notes = []
        if self.labels:
            said = listing([" = ".join(f"{i.key} ({i.label})" for i in same) for same in self.labels.values()])
            notes.append(f"copies that carry more than one label, so one is wrong ({len(self.labels)}): {said}.")
        if self.splits:
            said = listing([" = ".join(item.key for item in same) for same in self.splits.values()])
            notes.append(f"copies that stand in more than one split, pixel for pixel ({len(self.splits)}): {said}.")
        return notes


class ImageStore:
    """Decoded images and their digests, by item."""

    def __init__(self, keys: Sequence[str], images: FloatArray, digests: Sequence[str]) -> None:
        self._row = {key: row for row, key in enumerate(keys)}
        self._images = images
        self._digests = tuple(digests)

    @classmethod
    def load(
        cls,
        source: Source,
        items: Sequence[Item],
        spec: InputSpec,
        progress: Callable[[int, int], None] | None = None,
        *,
        spare: Sequence[Item] = (),
        room: Room | None = None,
        preparation: Preparation | None = None,
    ) -> ImageStore:
        """Decode all items on a few threads; `progress(done, total)` is called after each, in the items' order.

        `DataError` lists every one that cannot be used, with its reason; `spare` items are checked too, and not kept.
        """

        def one(item: Item) -> Decoded | BadImage:
            try:
                picture = source.load(item)
                return prepared(picture, spec, preparation or Preparation()), picture.digest
            except BadImage as bad:
                return bad

        shape = (len(items), spec.channels, *spec.size)
        images = room(shape) if room else np.zeros(shape, np.float32)
        digests, bad, total = [], [], len(items) + len(spare)
        with ThreadPoolExecutor(max_workers=min(MOST_THREADS, os.cpu_count() or 1)) as threads:
            for row, result in enumerate(threads.map(one, [*items, *spare])):
                if isinstance(result, BadImage):
                    bad.append(str(result))
                elif row < len(items):
                    images[row], digest = result
                    digests.append(digest)
                if progress:
                    progress(row + 1, total)
        if bad:
            said = f"{len(bad)} of {total} images cannot be used; nothing was started:"
            raise DataError("\n".join([said, *bad]))
        return cls([item.key for item in items], images, digests)

    def names(self) -> dict[str, list[str]]:
        """Keys and digests, in the store's order."""
        return {"keys": list(self._row), "digests": list(self._digests)}

    @property
    def all_images(self) -> FloatArray:
        """Every image, in the store's order: the one copy in memory, not to be written to."""
        return self._images

    def rows(self, items: Sequence[Item]) -> IntArray:
        """(n,) where the items stand in `all_images`."""
        return np.array([self._row[item.key] for item in items], dtype=np.int64)

    def images(self, items: Sequence[Item]) -> FloatArray:
        """(n, channels, h, w) in [0, 1], in the items' order: a copy."""
        found: FloatArray = self._images[self.rows(items)]
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

    def conflicts(self, dataset: Dataset) -> Conflicts:
        """Copies of one image under several labels, or in several splits."""
        fitted = {*self.digests(dataset.items["train"]), *self.digests(dataset.items["select"])}
        calibrate = dataset.items["calibrate"]
        placed = [(split, item) for split in SPLITS for item in dataset.items[split]]
        same: dict[str, list[tuple[Split, Item]]] = defaultdict(list)
        for digest, place in zip(self.digests([item for _, item in placed]), placed, strict=True):
            same[digest].append(place)
        items = {digest: tuple(item for _, item in places) for digest, places in same.items()}
        return Conflicts(
            labels={d: items[d] for d in same if len({item.label for item in items[d]}) > 1},
            splits={d: items[d] for d, places in same.items() if len({split for split, _ in places}) > 1},
            flattering=tuple(i.key for i, d in zip(calibrate, self.digests(calibrate), strict=True) if d in fitted),
        )

    def copies(self, dataset: Dataset) -> list[str]:
        """What a user should hear about `conflicts`; an error where calibrate holds a copy of what trains."""
        conflicts = self.conflicts(dataset)
        conflicts.refuse_flattering()
        return conflicts.notes()
