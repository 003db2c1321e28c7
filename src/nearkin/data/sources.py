"""Sources: the labelled images there are. `digits`, `folder` and `manifest`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

from nearkin.data.images import Picture, decode
from nearkin.data.items import Item
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
    from nearkin.data.manifest import read_manifest

    return Files(read_manifest(path))


def find_path(path: str) -> Path:
    """Absolute, or under the folder that NEARKIN_DATA names, else under ./data."""
    base = os.environ.get(DATA_VARIABLE)
    found = Path(path) if Path(path).is_absolute() else Path(base or "data") / path
    if not found.exists():
        said = f"{DATA_VARIABLE} is {base!r}" if base else f"{DATA_VARIABLE} is not set, so ./data is searched"
        raise DataError(
            f"data.path {path!r}: there is no {found}. {said}. "
            f"Set {DATA_VARIABLE} to the folder that holds it, or write an absolute path."
        )
    return found


class Files:
    """Items that are image files."""

    def __init__(self, items: tuple[Item, ...]) -> None:
        self.items = items

    def load(self, item: Item) -> Picture:
        """Decode the file."""
        return decode(Path(str(item.place)))


class Digits:
    """The 1,797 handwritten digits of 8x8 pixels that scikit-learn ships (UCI, Alpaydin and Kaynak 1998)."""

    def __init__(self) -> None:
        from sklearn.datasets import load_digits

        digits = load_digits()
        self._images = (digits.images / 16).astype("float32")
        keys = [f"digits/{row}" for row in range(len(digits.target))]
        self.items = tuple(
            Item(key, str(label), key, None, row)
            for row, (key, label) in enumerate(zip(keys, digits.target.tolist(), strict=True))
        )

    def load(self, item: Item) -> Picture:
        """The 8x8 pixels, 16 being white."""
        return Picture(self._images[int(str(item.place))], 8, item.key)


def list_folder(root: Path) -> tuple[Item, ...]:
    """A folder a class, its images directly inside; sorted by key."""
    if not root.is_dir():
        raise DataError(f"{root}: is not a folder; source 'folder' wants one with a folder a class inside.")
    entries = [path for path in sorted(root.iterdir()) if not _ignored(path)]
    loose = [path.name for path in entries if not path.is_dir()]
    nested = [f"{c.name}/{p.name}" for c in entries if c.is_dir() for p in sorted(c.iterdir()) if p.is_dir()]
    problems = []
    if loose:
        problems.append(f"files that are in no class folder: {listing(loose)}. Move or remove them.")
    if nested:
        problems.append(f"folders inside class folders: {listing(nested)}. Images lie directly in their class's folder.")
    if not entries:
        problems.append("no class folders inside.")
    if problems:
        raise DataError("\n".join(f"{root}: {problem}" for problem in problems))
    files = [path for folder in entries for path in sorted(folder.iterdir()) if not _ignored(path)]
    keys = [f"{path.parent.name}/{path.name}" for path in files]
    return tuple(Item(key, path.parent.name, key, None, path) for key, path in zip(keys, files, strict=True))


def _ignored(path: Path) -> bool:
    return path.name.startswith(".") or path.name in IGNORED_NAMES
