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
    if not first:
        wait()
        try:
            return _open(folder)
        finally:
            wait()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        return _decode(load, folder)
    except BaseException:
        (folder / FAILED).touch()
        raise
    finally:
        wait()
        wait()  # until the others have opened it, or seen that they cannot
        for name in (IMAGES, NAMES, FAILED):
            (folder / name).unlink(missing_ok=True)
        folder.rmdir()


def _decode(load: Callable[[Room], ImageStore], folder: Path) -> ImageStore:
    def room(shape: tuple[int, ...]) -> np.memmap[tuple[int, ...], np.dtype[np.float32]]:
        return np.lib.format.open_memmap(folder / IMAGES, "w+", np.float32, shape)

    store = load(room)
    (folder / NAMES).write_bytes(to_json(store.names()))
    return store


def _open(folder: Path) -> ImageStore:
    if (folder / FAILED).exists():
        raise DataError("the images could not be read; the machine's first process says which.")
    names = json.loads((folder / NAMES).read_bytes())
    # Copy on write: nothing is written, and torch takes it without a warning.
    return ImageStore(names["keys"], np.load(folder / IMAGES, mmap_mode="c"), names["digests"])
