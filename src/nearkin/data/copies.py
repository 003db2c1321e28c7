"""Files that are the same byte for byte: they count as one group, so that no split can hold a copy of another's."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from nearkin.data.items import Item
from nearkin.joining import joining


def group_copies(items: Sequence[Item]) -> tuple[Item, ...]:
    """The same items, in the same order; the groups of items whose files are the same become one group.

    Copies that the source marks for different splits stay apart, as it says: `ImageStore.copies` tells of them.
    """
    called = joining([item.group for item in copies] for copies in _copies(items))
    return tuple(replace(item, group=called(item.group)) for item in items)


def _copies(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Items of one mark with equal files. Only files of one size are read; what cannot be is the decoder's to tell."""
    sized = ((_size(item), item) for item in items)
    for same_size in _shared((size, item) for size, item in sized if size is not None):
        hashed = ((_content(item), item) for item in same_size)
        yield from _shared(((content, item.side), item) for content, item in hashed if content)


def _shared(keyed: Iterable[tuple[Hashable, Item]]) -> list[list[Item]]:
    """The items of every key that more than one has."""
    found: dict[Hashable, list[Item]] = defaultdict(list)
    for key, item in keyed:
        found[key].append(item)
    return [items for items in found.values() if len(items) > 1]


def _size(item: Item) -> int | None:
    """Of its file in bytes; nothing where it has none that can be looked at."""
    try:
        return item.place.stat().st_size if isinstance(item.place, Path) and item.place.is_file() else None
    except OSError:
        return None


def _content(item: Item) -> str | None:
    """The digest of its file; nothing where it cannot be read."""
    try:
        with Path(str(item.place)).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
