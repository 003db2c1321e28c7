"""Images in one `.npz` file: MedMNIST's layout, or plain `images` and `labels`."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearkin.contracts import Split
from nearkin.data.images import Picture, decode
from nearkin.data.items import Item
from nearkin.errors import DataError, listing

PARTS: Mapping[str, Split | None] = {"train_": "train", "val_": "select", "test_": "test", "": None}
"""What stands before `images` and `labels`, and the split it means: MedMNIST's names; none for a plain file."""
WANTED = (
    "'images' and 'labels' (optionally 'groups'), or MedMNIST's 'train_images', 'train_labels', 'val_...', 'test_...'"
)


class Arrays:
    """Items that are rows of arrays; MedMNIST's val split is what select is drawn from."""

    def __init__(self, path: Path) -> None:
        arrays = _read(path)
        there = [part for part in PARTS if f"{part}images" in arrays]
        if not there:
            raise DataError(f"{path}: holds {listing(arrays) or 'no arrays'}; source 'npz' wants {WANTED}.")
        self._images = [image for part in there for image in arrays[f"{part}images"]]
        items = [item for part in there for item in _part(path, arrays, part)]
        self.items = tuple(replace(item, place=place) for place, item in enumerate(items))

    def load(self, item: Item) -> Picture:
        """One row, as an array of its type is decoded."""
        return replace(decode(self._images[int(str(item.place))]), source=item.key)


def _read(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays of the file. Nothing in it can run: pickled objects are refused."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (ValueError, OSError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: cannot be read as a .npz file of plain arrays: {error}.") from error


def _part(path: Path, arrays: Mapping[str, NDArray[Any]], part: str) -> list[Item]:
    images = arrays[f"{part}images"]
    if f"{part}labels" not in arrays:
        raise DataError(f"{path}: holds {part}images and no {part}labels. There is {listing(arrays)}.")
    labels = _texts(path, f"{part}labels", arrays[f"{part}labels"], len(images))
    groups = arrays.get(f"{part}groups")
    named = None if groups is None else _texts(path, f"{part}groups", groups, len(images))
    keys = [f"{path.name}/{part.rstrip('_') or 'images'}/{row}" for row in range(len(images))]
    return [
        Item(key, label, (named[row] if named else "") or key, PARTS[part], row)
        for row, (key, label) in enumerate(zip(keys, labels, strict=True))
    ]


def _texts(path: Path, name: str, values: NDArray[Any], n: int) -> list[str]:
    """(n,) or (n, 1) of whole numbers or text, as text."""
    flat = values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values
    if flat.ndim != 1 or flat.dtype.kind not in "iuUb":
        kind = f"{values.dtype} of shape {values.shape}"
        raise DataError(
            f"{path}: {name} is {kind}; one whole number or text an image is wanted. Several labels are not."
        )
    if len(flat) != n:
        raise DataError(f"{path}: {name} holds {len(flat)} for {n} images.")
    return [str(value) for value in flat.tolist()]
