"""Images at the edge of what is allowed: decoded, or refused with the right reason, and nothing is warned of."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nearkin.data import BadImage, decode
from nearkin.data.images import MAX_PIXELS


def png_header(width: int, height: int) -> bytes:
    """A PNG that promises pixels it does not have."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("width", "reason"),
    [
        (MAX_PIXELS // 10_000, "damaged or cut short"),
        (MAX_PIXELS // 10_000 + 1, "too large: at most 100,000,000 pixels"),
        (40_000, "too large: at most 100,000,000 pixels"),
    ],
)
def test_the_cap_is_the_only_limit_and_pillow_warns_of_none_of_its_own(tmp_path: Path, width: int, reason: str) -> None:
    (tmp_path / "huge.png").write_bytes(png_header(width, 10_000))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(BadImage, match=reason):
            decode(tmp_path / "huge.png")


def test_floats_that_reach_too_far_are_refused_and_never_become_nan() -> None:
    with pytest.raises(BadImage, match="too far to scale"):
        decode(np.array([[-1e308, 1e308] * 3] * 6))


@pytest.mark.parametrize(
    ("dtype", "sample_format", "order", "bits"),
    [
        ("int16", 2, "<", 16),
        ("int16", 2, ">", 16),
        ("int32", 2, "<", 32),
        ("int32", 2, ">", 32),
        ("uint32", 1, "<", 32),
    ],
)
def test_signed_and_32_bit_tiffs_are_stretched_over_their_whole_range(
    tmp_path: Path, tiff: Callable[..., bytes], dtype: str, sample_format: int, order: str, bits: int
) -> None:
    values = np.linspace(np.iinfo(dtype).min, np.iinfo(dtype).max, 54).reshape(6, 9).astype(dtype)
    (tmp_path / "a.tif").write_bytes(tiff(values, sample_format, order))
    picture = decode(tmp_path / "a.tif")
    wide = values.astype(np.float64)
    np.testing.assert_allclose(picture.pixels, (wide - wide.min()) / (wide.max() - wide.min()), atol=1e-7)
    assert picture.bits == bits
