"""One writer a folder: a second one is refused at once, never made to wait."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from nearkin.errors import IndexCallError, WorkFailed
from nearkin.files import LOCK_SUFFIX, explaining

WRITING = f".writing{LOCK_SUFFIX}"


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Write this folder alone; `WorkFailed` where another process or thread does. A killed one holds nothing.

    The thread that holds it may take it again.
    """
    if folder.exists() and not folder.is_dir():
        raise IndexCallError(f"{folder}: this is a file. Save the index into a folder of its own.")
    with explaining(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / WRITING, is_singleton=True)
        try:
            lock.acquire(blocking=False)
        except Timeout as error:
            raise WorkFailed(f"{folder}: another process is changing this index. Try again when it is done.") from error
    try:
        yield
    finally:
        lock.release()
