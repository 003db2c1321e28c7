"""Sources: the labelled images there are. `digits`, `folder`, `manifest` and `npz`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from nearkin.data.arrays import Arrays
from nearkin.data.images import Picture, decode
from nearkin.data.items import Item
from nearkin.data.manifest import read_manifest
from nearkin.errors import DataError, listing
from nearkin.recipe.data_options import DataOptions

DATA_VARIABLE = "NEARKIN_DATA"
IGNORED_NAMES = frozenset({"Thumbs.db", "desktop.ini"})
"""What file managers leave behind; names that begin with a dot are ignored too. Everything else is an image."""


class Source(Protocol):
    """Items, and the way to an item's pixels."""

    items: tuple[Item, ...]
    notes: tuple[str, ...]
    """What a user should hear about how its images are read."""

    def load(self, item: Item) -> Picture:
        """Decode one of its items; `BadImage` where that fails."""


def open_source(options: DataOptions) -> Source:
    """The recipe's source, its items listed and none decoded."""
    if options.source == "digits":
        return Digits()
    path = find_path(str(options.path))
    if options.source == "folder":
        items = list_folder(path)
        return Files(grouped(items, options.group) if options.group else items)
    if options.source == "npz":
        return Arrays(path)
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

    notes: tuple[str, ...] = ()

    def __init__(self, items: tuple[Item, ...]) -> None:
        self.items = items

    def load(self, item: Item) -> Picture:
        """Decode the file."""
        return decode(str(item.place))


class Digits:
    """The 1,797 handwritten digits of 8x8 pixels that scikit-learn ships (UCI, Alpaydin and Kaynak 1998)."""

    notes: tuple[str, ...] = ()

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
    """A folder a class, its images directly inside, sorted; folders of classes may lie in folders.

    A label is its folder's path inside `root`, as in `alphabet/character`. All that does not fit that is told at once.
    """
    if not root.is_dir():
        raise DataError(f"{root}: is not a folder; source 'folder' wants one with a folder a class inside.")
    inside = dict(_folders(root))
    _refuse_misplaced(root, inside)
    files = [path for folder, paths in inside.items() if folder != root for path in paths if path not in inside]
    keys = [path.relative_to(root).as_posix() for path in files]
    return tuple(Item(key, key.rpartition("/")[0], key, None, path) for key, path in zip(keys, files, strict=True))


def grouped(items: tuple[Item, ...], pattern: str) -> tuple[Item, ...]:
    """The same items, each in the group that the pattern finds in its key. An error names those it does not fit."""
    found = [re.search(pattern, item.key) for item in items]
    without = [item.key for item, match in zip(items, found, strict=True) if match is None]
    if without:
        raise DataError(
            f"data.group {pattern!r} fits {len(items) - len(without)} of {len(items)} images, not these: "
            f"{listing(without)}. It is searched in an image's path in the folder; let it fit all."
        )
    groups = ["/".join(part or "" for part in match.groups()) for match in found if match]
    return tuple(replace(item, group=group) for item, group in zip(items, groups, strict=True))


def _folders(folder: Path, above: tuple[Path, ...] = ()) -> Iterator[tuple[Path, list[Path]]]:
    """A folder and all inside it, each with what is visible there."""
    real = folder.resolve()
    if real in above:
        raise DataError(f"{folder}: leads back to {real}, a folder that it is in. Remove the link.")
    entries = _visible(folder)
    yield folder, entries
    for entry in entries:
        if entry.is_dir():
            yield from _folders(entry, (*above, real))


def _refuse_misplaced(root: Path, inside: Mapping[Path, list[Path]]) -> None:
    """`inside`: every folder with its entries; those that are keys are folders, the others files."""
    classes = {folder: paths for folder, paths in inside.items() if folder != root}
    loose = [path for path in inside[root] if path not in inside]
    mixed = [folder for folder, paths in classes.items() if len({path in inside for path in paths}) == 2]
    within = [path for paths in classes.values() for path in paths]
    # A key that is no text could not be hashed or written into a run.
    unwritable = [path for path in within if _shown(path.relative_to(root)) != str(path.relative_to(root))]
    empty = [folder for folder, paths in classes.items() if not paths]
    blank = [folder for folder in classes if not folder.name.strip()]
    problems = {
        "files that are in no class folder: {}. Move or remove them.": loose,
        "folders with both images and folders inside: {}. "
        "A class's folder holds images alone; move the images or the folders.": mixed,
        "class folders without images: {}. Fill or remove them.": empty,
        "names that are not UTF-8: {}. Rename them.": unwritable,
        "folders whose name is blank, and a class has a name: {}. Rename them.": blank,
    }
    told = [
        f"{root}: " + words.format(listing(_shown(path.relative_to(root)) for path in paths))
        for words, paths in problems.items()
        if paths
    ]
    if not classes and not loose:
        told.append(f"{root}: holds no class folders; source 'folder' wants a folder a class.")
    if told:
        raise DataError("\n".join(told))


def _visible(folder: Path) -> list[Path]:
    """What is in a folder, sorted; without names that begin with a dot and what file managers leave behind."""
    return [path for path in sorted(folder.iterdir()) if path.name[0] != "." and path.name not in IGNORED_NAMES]


def _shown(path: Path) -> str:
    """As text that any terminal takes, in quotes where there is nothing to see."""
    text = str(path).encode(errors="backslashreplace").decode()
    return text if text.strip() else repr(text)
