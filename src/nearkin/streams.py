"""Large files: written piece by piece with their hash, and read in place, without a copy in memory."""

from __future__ import annotations

import hashlib
import mmap
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO


class _Hashing:
    """A file being written, its hash and size known at the end."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes | memoryview) -> int:
        """All of it, or an error."""
        self.hash.update(data)
        self.size += memoryview(data).nbytes
        return self.file.write(data)


def write_hashed(folder: Path, name: str, write: Callable[[BinaryIO], None]) -> tuple[Path, str, int]:
    """Write and flush under a temporary name; that name, the hash and the size."""
    descriptor, temporary = tempfile.mkstemp(prefix=f".{name}.", suffix=".tmp", dir=folder)
    path = Path(temporary)
    try:
        with os.fdopen(descriptor, "wb") as file:
            hashing = _Hashing(file)
            write(hashing)  # type: ignore[arg-type]  # it writes, and that is all a writer needs
            file.flush()
            os.fsync(file.fileno())
        path.chmod(0o644)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path, hashing.hash.hexdigest(), hashing.size


def in_place(path: Path) -> memoryview:
    """A file's bytes, read-only: what is looked at comes from disk, and takes no memory of the process's own."""
    with path.open("rb") as file:
        empty = os.fstat(file.fileno()).st_size == 0  # which cannot be mapped
        return memoryview(b"" if empty else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
