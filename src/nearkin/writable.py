"""What the system refuses while something is written: asked for beforehand, and said in words."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nearkin.errors import WorkFailed

FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
OF_ANOTHER_KIND = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR)


@contextmanager
def explaining(place: Path) -> Iterator[None]:
    """What the system refuses while a folder or a file is written, as `WorkFailed`."""
    try:
        yield
    except OSError as error:
        raise WorkFailed(
            f"{place}: could not be saved: {error.strerror or error}. What it held before is whole. {_mend(error)}"
        ) from error


def _mend(error: OSError) -> str:
    if error.errno in FORBIDDEN:
        return "Choose a place that you may write to, or have it opened to you."
    if error.errno in OF_ANOTHER_KIND:
        return "A file stands where a folder is wanted, or a folder where a file is: move it away."
    return "Make room, or mend the disk, and save again."


def require_writable(folder: Path) -> None:
    """`WorkFailed` where nothing can be written into the folder, or where it would be made; nothing is left there."""
    there = folder if folder.exists() else folder.parent
    with explaining(folder), tempfile.TemporaryFile(dir=there):
        pass
