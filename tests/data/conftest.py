"""Images and items to test with."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

Save = Callable[..., Path]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """`save(name, array, **options)`: an image file of that array, made by Pillow."""

    def write(name: str, pixels: NDArray[Any] | Image.Image, **options: Any) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
        image.save(path, **options)
        return path

    return write


@pytest.fixture
def gray() -> NDArray[np.uint8]:
    """(6, 9), every pixel another value."""
    return np.arange(54, dtype=np.uint8).reshape(6, 9) * 4


@pytest.fixture
def rgb() -> NDArray[np.uint8]:
    """(6, 9, 3)."""
    return np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)


@pytest.fixture(scope="session")
def tiff() -> Callable[..., bytes]:
    """`tiff(array, sample_format, order)`: an uncompressed TIFF, since Pillow writes fewer kinds than it reads."""

    def build(array: NDArray[Any], sample_format: int, order: str) -> bytes:
        data = array.astype(array.dtype.newbyteorder(order)).tobytes()  # type: ignore[arg-type]  # "<" or ">"
        height, width = array.shape
        tags = [(256, width), (257, height), (258, 8 * array.dtype.itemsize), (259, 1), (262, 1), (273, 8)]
        tags += [(277, 1), (278, height), (279, len(data)), (339, sample_format)]
        head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "I", 8 + len(data))
        longs = b"".join(
            struct.pack(order + "HHII" if tag in (273, 279) else order + "HHIH2x", tag, kind, 1, value)
            for tag, value in tags
            for kind in [4 if tag in (273, 279) else 3]
        )
        return head + data + struct.pack(order + "H", len(tags)) + longs + b"\0\0\0\0"

    return build
