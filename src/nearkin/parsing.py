"""What others wrote, parsed: within bounds, and whatever is wrong with it told as damage to the file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from nearkin.errors import DamagedError, NearkinError, PluginError

MAX_TENSORS_HEADER_BYTES = 4 * 2**20
"""A name, a shape and two offsets a tensor: room for some 40,000 tensors."""


@contextmanager
def parsing(path: Path) -> Iterator[None]:
    """What goes wrong inside becomes a `DamagedError` that names the file: its hash agreed, its content does not."""
    try:
        yield
    except (DamagedError, PluginError):
        raise
    except (NearkinError, SafetensorError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError,
            RecursionError, RuntimeError, MemoryError) as error:  # fmt: skip
        raise DamagedError(f"{path}: does not hold what nearkin writes there: {error}") from error


def bounded_tensors(data: bytes) -> bytes:
    """Safetensors bytes as they are; `ValueError` where their header is larger than tensors of ours need."""
    size = int.from_bytes(data[:8], "little")
    if size > MAX_TENSORS_HEADER_BYTES:
        raise ValueError(f"a header of {size} bytes; at most {MAX_TENSORS_HEADER_BYTES} are read.")
    return data
