"""Images in one `.npz` file: MedMNIST's layout, or plain `images` and `labels`."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearkin.contracts import Split
from nearkin.data.images import BadImage, Picture, decode, is_stretched
from nearkin.data.items import Item
from nearkin.errors import DataError, listing

PARTS: Mapping[str, Split | None] = {"train_": "train", "val_": "select", "test_": "test", "": None}
"""What stands before `images` and `labels`, and the split it means: MedMNIST's names; none for a plain file."""
WANTED = (
    "'images' and 'labels' (optionally 'groups'), or MedMNIST's 'train_images', 'train_labels', 'val_...', 'test_...'"
)
ARRAYS = ("images", "labels", "groups")
"""What stands behind a part's name."""
UNREADABLE = "cannot be read as a .npz file of plain arrays"
NUMBERS = "biuf"
"""numpy's kinds of dtype that pixels can be; text would be taken for the path of a file."""


class Arrays:
    """Items that are rows of arrays; MedMNIST's val split is what select is drawn from."""

    def __init__(self, path: Path) -> None:
        arrays = _read(path)
        there = [part for part in PARTS if f"{part}images" in arrays]
        _refuse(path, [problem for part in there for problem in _problems(arrays, part)])
        self._images = [image for part in there for image in arrays[f"{part}images"]]
        self.notes = tuple(note for part in there for note in _notes(path, f"{part}images", arrays[f"{part}images"]))
        items = [item for part in there for item in _part(path, arrays, part)]
        self.items = tuple(replace(item, place=place) for place, item in enumerate(items))

    def load(self, item: Item) -> Picture:
        """One row, as an array of its type is decoded."""
        try:
            return replace(decode(self._images[int(str(item.place))]), source=item.key)
        except BadImage as bad:
            raise BadImage(item.key, bad.reason) from bad


def _refuse(path: Path, problems: Iterable[str]) -> None:
    """`DataError` of all of them, each on a line of its own; nothing where there are none."""
    lines = [f"{path}: {problem}" for problem in problems]
    if lines:
        raise DataError("\n".join(lines))


def _read(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays whose names have a meaning; others are not read. Nothing in the file can run."""
    arrays, problems = {}, []
    with _opened(path) as file:
        members = {member.filename.removesuffix(".npy"): member for member in file.infolist()}
        _refuse(path, _name_problems(members))
        for name in [part + what for part in PARTS for what in ARRAYS if part + what in members]:
            try:
                with file.open(members[name].filename) as stream:
                    arrays[name] = np.lib.format.read_array(stream, allow_pickle=False)
            # zipfile, its decompressors and numpy raise whatever they meet in a damaged file.
            except Exception as error:
                problems.append(f"{UNREADABLE}: {name}: {_why(error)}")
    _refuse(path, problems)
    return arrays


def _opened(path: Path) -> zipfile.ZipFile:
    if not path.is_file():
        raise DataError(f"{path}: is no file; source 'npz' wants a .npz file.")
    try:
        return zipfile.ZipFile(path)
    except OSError as error:
        raise DataError(f"{path}: {UNREADABLE} ({error.strerror or error}).") from error
    # zipfile has no one error for what it cannot open.
    except Exception as error:
        raise DataError(f"{path}: {_no_zip(path)}") from error


def _no_zip(path: Path) -> str:
    """What the file is instead, and the mend."""
    with path.open("rb") as file:
        if file.read(len(np.lib.format.MAGIC_PREFIX)) == np.lib.format.MAGIC_PREFIX:
            return "is one .npy array; save images and labels in one .npz file with numpy.savez."
    return f"{UNREADABLE}: it is of another format, or cut short. Copy it again, or save it with numpy.savez."


def _why(error: Exception) -> str:
    """What is wrong with one array, and the mend."""
    said = (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
    if isinstance(error, MemoryError):
        return f"{said}. It is damaged, or wants a machine of more memory."
    if said.startswith("Object arrays"):
        return "it holds Python objects, which are never loaded. Save whole numbers or text instead."
    # zipfile's word for a password and for a compression that it does not know.
    if isinstance(error, RuntimeError):
        return f"{said}. Save the file anew with numpy.savez, without a password."
    return f"it is damaged or no .npy array ({said}). Copy the file again, or save it anew with numpy.savez."


def _name_problems(names: Iterable[str]) -> list[str]:
    """Labels and images come together."""
    there = f"There is {listing(names)}."
    if not any(f"{part}images" in names for part in PARTS):
        return [f"holds {listing(names) or 'no arrays'}; source 'npz' wants {WANTED}."]
    problems = []
    for part in PARTS:
        wanted = "labels" if f"{part}images" in names else "images"
        if f"{part}{wanted}" not in names:
            held = [f"{part}{what}" for what in ARRAYS if f"{part}{what}" in names]
            problems += [f"holds {name} and no {part}{wanted}. Add it, or leave out {name}. {there}" for name in held]
    return problems


def _problems(arrays: Mapping[str, NDArray[Any]], part: str) -> list[str]:
    """What one part's arrays cannot mean. Labels are counted where the images can be."""
    images, labels, groups = (f"{part}{what}" for what in ARRAYS)
    problems = _image_problems(images, arrays[images])
    if problems:
        return problems
    n = len(arrays[images])
    problems = [p for name in (labels, groups) if name in arrays for p in _text_problems(name, arrays[name], n)]
    return problems or _blank_problems(labels, _texts(arrays[labels]))


def _image_problems(name: str, values: NDArray[Any]) -> list[str]:
    problems = []
    if values.dtype.kind not in NUMBERS:
        problems.append(f"{name} is {values.dtype}, wants numbers (bool, whole or float): the pixels themselves.")
    if values.ndim not in (3, 4) or 0 in values.shape[1:]:
        wanted = "(images, height, width) or (images, height, width, channels)"
        problems.append(f"{name} has the shape {values.shape}, wants {wanted}.")
    return problems


def _notes(path: Path, name: str, values: NDArray[Any]) -> list[str]:
    """That images are brought to [0, 1] one by one, where nothing says what their values mean."""
    if not values.size or not is_stretched(values):
        return []
    low, high = values.min(), values.max()
    return [
        f"{path}: {name} is {values.dtype} from {low:g} to {high:g}, so each image goes from its own least value to "
        "its largest. Where values mean the same in all of them, save them as uint8 or uint16, or scaled to [0, 1]."
    ]


def _text_problems(name: str, values: NDArray[Any], n: int) -> list[str]:
    flat = _flat(values)
    if flat.ndim != 1 or flat.dtype.kind not in "iuUb":
        kind = f"{values.dtype} of shape {values.shape}"
        return [f"{name} is {kind}; one whole number or text an image is wanted. Several labels are not."]
    return [f"{name} holds {len(flat)} for {n} images."] if len(flat) != n else []


def _blank_problems(name: str, texts: list[str]) -> list[str]:
    blank = [str(row) for row, text in enumerate(texts) if not text.strip()]
    rows = f"{len(blank)} of {len(texts)} rows, counted from 0: {listing(blank)}"
    return [f"{name}: the label is empty in {rows}. Give each image a label."] if blank else []


def _part(path: Path, arrays: Mapping[str, NDArray[Any]], part: str) -> list[Item]:
    labels = _texts(arrays[f"{part}labels"])
    groups = _texts(arrays[f"{part}groups"]) if f"{part}groups" in arrays else [""] * len(labels)
    keys = [f"{path.name}/{part.rstrip('_') or 'images'}/{row}" for row in range(len(labels))]
    return [
        Item(key, label, group if group.strip() else key, PARTS[part], row)
        for row, (key, label, group) in enumerate(zip(keys, labels, groups, strict=True))
    ]


def _flat(values: NDArray[Any]) -> NDArray[Any]:
    """(n,) or (n, 1) -> (n,); other shapes as they are."""
    return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values


def _texts(values: NDArray[Any]) -> list[str]:
    """(n,) or (n, 1) of whole numbers or text, as text."""
    return [str(value) for value in _flat(values).tolist()]
