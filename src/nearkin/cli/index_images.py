"""The labelled images that an index command is given: files, class folders and manifests, parted by split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nearkin.cli import show
from nearkin.contracts import Split
from nearkin.data.items import Item
from nearkin.data.manifest import read_manifest
from nearkin.data.sources import list_folder
from nearkin.errors import UsageError, listing


def listed(paths: Sequence[Path], label: str | None = None, group: str | None = None) -> list[Item]:
    """Image files of one label, else the items of class folders and manifests."""
    if not paths:
        raise UsageError("name a folder with a folder a class, a manifest, or image files with --label.")
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        raise UsageError(f"there is no {listing(missing)}.")
    if label is not None:
        return [Item(str(path), label, group or str(path), None, path) for path in paths]
    if group is not None:
        raise UsageError("--group goes with image files and --label; a manifest names groups in its column 'group'.")
    return [item for path in paths for item in _listed(path)]


def _listed(path: Path) -> tuple[Item, ...]:
    if path.is_dir():
        return list_folder(path)
    if path.suffix.lower() != ".csv":
        raise UsageError(f"{path}: is neither a folder nor a CSV manifest. Image files need --label.")
    return read_manifest(path)


def parted(
    paths: Sequence[Path], default: Split, *others: Split, label: str | None = None, group: str | None = None
) -> dict[Split, list[Item]]:
    """By split, items without one in `default`. Those of splits that are not named are told, and left out.

    `UsageError` where none is of `default`: the call would do something else than it was asked to.
    """
    found: dict[Split, list[Item]] = {default: []}
    for item in listed(paths, label, group):
        found.setdefault(item.split or default, []).append(item)
    parts: dict[Split, list[Item]] = {split: found.pop(split, []) for split in (default, *others)}
    if not parts[default]:
        _refuse_without(default, paths, parts | found)
    if found:
        show.message(f"left out: {_counted(found)}; the split {default!r} is taken here.")
    return parts


def _refuse_without(split: Split, paths: Sequence[Path], there: Mapping[Split, Sequence[Item]]) -> None:
    whose = "its" if len(paths) == 1 else "their"
    raise UsageError(
        f"{listing(map(str, paths))}: none of {whose} images is of split {split!r}; there are {_counted(there)}. "
        f"Write {split!r} in the column 'split' for those that are meant, or leave that column out."
    )


def _counted(parts: Mapping[Split, Sequence[Item]]) -> str:
    return listing(f"{len(items)} of split {split!r}" for split, items in sorted(parts.items()) if items)


def given(items: Sequence[Item]) -> dict[str, Any]:
    """Items as the index takes them. An item that is its own group has none: keys of two folders may be alike."""
    return {
        "images_or_embeddings": [str(item.place) for item in items],
        "labels": [item.label for item in items],
        "groups": ["" if item.group == item.key else item.group for item in items],
    }
