"""On a CPU, memory that one step frees is kept for the next: glibc would give it back, and have it cleared again."""

from __future__ import annotations

import ctypes
import platform
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""glibc's malloc.h: how much may lie free at the heap's end, and from what size on memory is mapped by itself."""
KEPT = {TRIM_THRESHOLD: 2**31 - 1, MMAP_THRESHOLD: 2**30}
"""While work lasts. Both are needed: with one alone set, glibc stops adjusting the other, which starts at 128 KiB."""
AFTER = {TRIM_THRESHOLD: 2**26, MMAP_THRESHOLD: 2**25}
"""Where glibc's own adjusting ends once a block of 32 MiB was freed (mallopt(3), M_MMAP_THRESHOLD)."""

_lock = threading.Lock()
_at_work = 0


@contextmanager
def kept_memory(device: torch.device) -> Iterator[None]:
    """Tensors of tens of megabytes, made and freed again and again, reuse the same pages; afterwards all go back.

    Nothing happens on another device, or where the C library is not glibc. May be entered again inside, and from
    several threads. docs/performance.md says what it saves.
    """
    global _at_work
    libc = _glibc()
    if device.type != "cpu" or libc is None:
        yield
        return
    with _lock:
        _at_work += 1
        _set(libc, KEPT)
    try:
        yield
    finally:
        with _lock:
            _at_work -= 1
            if not _at_work:
                _set(libc, AFTER)
                libc.malloc_trim(0)


@cache
def _glibc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None


def _set(libc: ctypes.CDLL, options: dict[int, int]) -> None:
    for option, size in options.items():
        libc.mallopt(option, size)
