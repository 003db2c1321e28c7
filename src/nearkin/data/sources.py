"""Sources: the labelled images there are. `digits`, `folder` and `manifest`."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from nearkin.data.images import Picture, decode
from nearkin.data.items import Item
from nearkin.data.manifest import read_manifest
from nearkin.errors import DataError, listing
from nearkin.recipe.model import DataOptions

DATA_VARIABLE = "NEARKIN_DATA"
IGNORED_NAMES = frozenset({"Thumbs.db", "desktop.ini"})
"""What file managers leave behind; names that begin with a dot are ignored too. Everything else is an image."""


class Source(Protocol):
    """Items, and the way to an item's pixels."""

    items: tuple[Item, ...]

    def load(self, item: Item) -> Picture:
        """Decode one of its items; `BadImage` where that fails."""


def open_source(options: DataOptions) -> Source:
    """The recipe's source, its items listed and none decoded."""
    if options.source == "digits":
        return Digits()
    path = find_path(str(options.path))
    if options.source == "folder":
        return Files(list_folder(path))
    return Files(read_manifest(path))


def find_path(path: str) -> Path:
    """Absolute, or under the folder that NEARKIN_DATA names, else under ./data."""
    base = os.environ.get(DATA_VARIABLE)
    found = Path(base or "data") / path
    if found.exists():
        return found
    missing = f"data.path {path!r}: there is no {found}."
    if Path(path).is_absolute():
        raise DataError(f"{missing} Correct the path.")
    said = f"{DATA_VARIABLE} is {base!r}" if base else f"{DATA_VARIABLE} is not set, so ./data is searched"
    raise DataError(f"{missing} {said}. Set {DATA_VARIABLE} to the folder that holds it, or write an absolute path.")


class Files:
    """Items that are image files."""

    def __init__(self, items: tuple[Item, ...]) -> None:
        self.items = items

    def load(self, item: Item) -> Picture:
        """Decode the file."""
        return decode(str(item.place))


class Digits:
    """The 1,797 handwritten digits of 8x8 pixels that scikit-learn ships (UCI, Alpaydin and Kaynak 1998)."""

    def __init__(self) -> None:
        from sklearn.datasets import load_digits

        digits = load_digits()
        # The 17 grays as 8-bit values, so that a digit saved as a PNG file is recognised as a copy.
        self._images = (digits.images / 16 * 255).round().astype("uint8")
        keys = [f"digits/{row}" for row in range(len(digits.target))]
        self.items = tuple(
            Item(key, str(label), key, None, row)
            for row, (key, label) in enumerate(zip(keys, digits.target.tolist(), strict=True))
        )

    def load(self, item: Item) -> Picture:
        """The 8x8 pixels, 16 being white."""
        return replace(decode(self._images[int(str(item.place))]), source=item.key)


def list_folder(root: Path) -> tuple[Item, ...]:
    """A folder a class, its images directly inside, sorted. All that does not fit that is told at once."""
    if not root.is_dir():
        raise DataError(f"{root}: is not a folder; source 'folder' wants one with a folder a class inside.")
    entries = _visible(root)
    inside = {folder: _visible(folder) for folder in entries if folder.is_dir()}
    _refuse_misplaced(root, [path for path in entries if path not in inside], inside)
    files = [path for paths in inside.values() for path in paths]
    keys = [f"{path.parent.name}/{path.name}" for path in files]
    return tuple(Item(key, path.parent.name, key, None, path) for key, path in zip(keys, files, strict=True))


def _refuse_misplaced(root: Path, loose: list[Path], inside: dict[Path, list[Path]]) -> None:
    within = [path for paths in inside.values() for path in paths]
    nested = [path for path in within if path.is_dir()]
    # A key that is no text could not be hashed or written into a run.
    unwritable = [path for path in within if _shown(path.relative_to(root)) != str(path.relative_to(root))]
    empty = [folder for folder, paths in inside.items() if not paths]
    problems = {
        "files that are in no class folder: {}. Move or remove them.": loose,
        "folders inside class folders: {}. Nested classes are not supported yet; "
        "put the images directly into their class's folder.": nested,
        "class folders without images: {}. Fill or remove them.": empty,
        "names that are not UTF-8: {}. Rename them.": unwritable,
    }
    told = [
        f"{root}: " + words.format(listing(_shown(path.relative_to(root)) for path in paths))
        for words, paths in problems.items()
        if paths
    ]
    if not inside and not loose:
        told.append(f"{root}: holds no class folders; source 'folder' wants a folder a class.")
    if told:
        raise DataError("\n".join(told))


def _visible(folder: Path) -> list[Path]:
    """What is in a folder, sorted; without names that begin with a dot and what file managers leave behind."""
    return [path for path in sorted(folder.iterdir()) if path.name[0] != "." and path.name not in IGNORED_NAMES]


def _shown(path: Path) -> str:
    """As text that any terminal takes."""
    return str(path).encode(errors="backslashreplace").decode()
