"""Locks that die with their process: held alone, or refused at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from nearkin.errors import WorkFailed


@contextmanager
def held_alone(lock: Path, refusal: str, *, again: bool = False) -> Iterator[None]:
    """Hold the lock file inside; `WorkFailed` with `refusal` where another process or thread does.

    `again`: the thread that holds it may take it once more.
    """
    file = FileLock(lock, is_singleton=again)
    try:
        file.acquire(blocking=False)
    except Timeout as error:
        raise WorkFailed(refusal) from error
    try:
        yield
    finally:
        file.release()
