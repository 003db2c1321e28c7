"""One copy of the decoded images for all processes of a machine: the first decodes, the others map its memory."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from nearkin.data.store import ImageStore, Room
from nearkin.errors import DataError
from nearkin.files import to_json

IMAGES, NAMES, FAILED = "images.npy", "names.json", "failed"


def load_once(load: Callable[[Room], ImageStore], *, folder: Path, first: bool, wait: Callable[[], None]) -> ImageStore:
    """The store of `load`, decoded by the machine's first process alone; `wait` returns once all have called it.

    The file in `folder`, a path that all agree on, is gone when this returns: memory that is mapped stays.
    """
    if first:
        store = _decode(load, folder, wait)
        wait()
    else:
        wait()
        store = _open(folder, wait)
    wait()
    if first:
        for name in (IMAGES, NAMES):
            (folder / name).unlink()
        folder.rmdir()
    return store


def _decode(load: Callable[[Room], ImageStore], folder: Path, wait: Callable[[], None]) -> ImageStore:
    folder.mkdir(parents=True, exist_ok=True)

    def room(shape: tuple[int, ...]) -> np.memmap[tuple[int, ...], np.dtype[np.float32]]:
        return np.lib.format.open_memmap(folder / IMAGES, "w+", np.float32, shape)

    try:
        store = load(room)
        (folder / NAMES).write_bytes(to_json(store.names()))
    except BaseException:
        for name in (IMAGES, NAMES):
            (folder / name).unlink(missing_ok=True)
        (folder / FAILED).touch()
        wait()
        wait()  # until the others have seen it
        (folder / FAILED).unlink()
        folder.rmdir()
        raise
    return store


def _open(folder: Path, wait: Callable[[], None]) -> ImageStore:
    if (folder / FAILED).exists():
        wait()
        raise DataError("the images could not be read; the machine's first process says which.")
    names = json.loads((folder / NAMES).read_bytes())
    # Copy on write: nothing is written, and torch takes it without a warning.
    return ImageStore(names["keys"], np.load(folder / IMAGES, mmap_mode="c"), names["digests"])
