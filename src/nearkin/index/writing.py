"""One writer a folder: a second one is refused at once, never made to wait."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from nearkin.errors import IndexCallError
from nearkin.files import LOCK_SUFFIX
from nearkin.locks import held_alone
from nearkin.writable import explaining

WRITING = f".writing{LOCK_SUFFIX}"


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Write this folder alone; `WorkFailed` where another process or thread does. A killed one holds nothing.

    The thread that holds it may take it again.
    """
    if folder.exists() and not folder.is_dir():
        raise IndexCallError(f"{folder}: this is a file. Save the index into a folder of its own.")
    refusal = f"{folder}: another process is changing this index. Try again when it is done."
    with ExitStack() as held:
        with explaining(folder):
            folder.mkdir(parents=True, exist_ok=True)
            # Absolute: the thread may go to another folder before it takes the lock again.
            held.enter_context(held_alone(folder.absolute() / WRITING, refusal, again=True))
        yield
