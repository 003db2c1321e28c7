"""Images keep what was measured, whatever file they come in; what cannot be used is named with the reason."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from PIL import Image

from nearkin.contracts import InputSpec
from nearkin.data import BadImage, decode, fit
from nearkin.data.images import MAX_PIXELS, MIN_SIDE

RNG = np.random.default_rng(0)
GRAY = RNG.integers(0, 256, (9, 7), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (9, 7), dtype=np.uint16)
COLOUR = RNG.integers(0, 256, (9, 7, 3), dtype=np.uint8)
ORIENTATION = 0x0112
STORED_FROM_UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, -1),
}
"""How a camera held that way stores the upright image (EXIF 2.3, table of Orientation)."""


def saved(image: Image.Image | NDArray[Any], path: Path, **options: Any) -> Path:
    picture = image if isinstance(image, Image.Image) else Image.fromarray(np.ascontiguousarray(image))
    picture.save(path, **options)
    return path


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *, bits: int, colour: int, data: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(data)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def tiff(
    width: int, height: int, *, bits: int, data: bytes, photometric: int = 1, sample_format: int = 1, channels: int = 1
) -> bytes:
    """Uncompressed, in one strip, little-endian."""
    short, long = 3, 4
    end = 8 + 2 + 12 * 10 + 4
    # One value fits its entry; several lie behind the table.
    more = struct.pack(f"<{channels}H", *[bits] * channels) if channels > 1 else b""
    entries = [
        (256, short, 1, width),
        (257, short, 1, height),
        (258, short, channels, end if more else bits),
        (259, short, 1, 1),
        (262, short, 1, photometric),
        (273, long, 1, end + len(more)),
        (277, short, 1, channels),
        (278, short, 1, height),
        (279, long, 1, len(data)),
        (339, short, 1, sample_format),
    ]
    table = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + table + struct.pack("<I", 0) + more + data


def reason(image: Any) -> str:
    with pytest.raises(BadImage) as caught:
        decode(image)
    assert str(caught.value) == f"{caught.value.source}: {caught.value.reason}"
    return caught.value.reason


# ------------------------------------------------------------------------------------------- what is kept


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp", "pgm"])
def test_8_bit_gray_keeps_its_values(tmp_path: Path, suffix: str) -> None:
    picture = decode(saved(GRAY, tmp_path / f"x.{suffix}"))
    np.testing.assert_array_equal(picture.pixels, GRAY.astype(np.float32) / 255)
    assert (picture.bits, picture.pixels.dtype) == (8, np.float32)


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp", "ppm", "webp"])
def test_8_bit_colour_keeps_its_values(tmp_path: Path, suffix: str) -> None:
    options = {"lossless": True} if suffix == "webp" else {}
    picture = decode(saved(COLOUR, tmp_path / f"x.{suffix}", **options))
    np.testing.assert_array_equal(picture.pixels, COLOUR.astype(np.float32) / 255)


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
@pytest.mark.parametrize("values", [DEEP, DEEP // 16, DEEP // 256], ids=["16 bits", "12 bits", "8 bits"])
def test_16_bit_gray_is_divided_by_65535_and_never_clipped(
    tmp_path: Path, suffix: str, values: NDArray[np.uint16]
) -> None:
    picture = decode(saved(values, tmp_path / f"x.{suffix}"))
    np.testing.assert_array_equal(picture.pixels, (values / 65535).astype(np.float32))
    assert picture.bits == 16


def test_a_big_endian_16_bit_tiff_keeps_its_values(tmp_path: Path) -> None:
    path = saved(Image.frombytes("I;16B", (7, 9), DEEP.astype(">u2").tobytes()), tmp_path / "x.tif")
    np.testing.assert_array_equal(decode(path).pixels, (DEEP / 65535).astype(np.float32))


@pytest.mark.parametrize("order", ["<", ">"])
def test_integers_wider_than_16_bits_are_stretched_whatever_they_hold(
    tmp_path: Path, tiff: Callable[..., bytes], order: str
) -> None:
    signed = np.arange(54, dtype=np.int32).reshape(6, 9) * 1000 - 20_000
    wide = np.linspace(0, 2**32 - 1, 54).astype(np.uint32).reshape(6, 9)
    # Pillow reads unsigned 32 bits in one byte order alone.
    unsigned = [(wide, 1)] if order == "<" else []
    for values, sample_format in [(signed, 2), (signed + 20_000, 2), *unsigned]:
        (tmp_path / "x.tif").write_bytes(tiff(values, sample_format, order))
        from_file = decode(tmp_path / "x.tif")
        assert (from_file.pixels.min(), from_file.pixels.max(), from_file.bits) == (0, 1, 32)
        np.testing.assert_array_equal(from_file.pixels, decode(values).pixels)


@pytest.mark.parametrize(("dtype", "top", "sample_format"), [("u1", 255, 1), ("<u2", 65535, 1), ("<f4", 1, 3)])
def test_a_tiff_whose_0_is_white_is_turned_round_at_every_depth(
    tmp_path: Path, dtype: str, top: int, sample_format: int
) -> None:
    values = np.tile(np.linspace(0, top, 8).astype(dtype), (6, 1))
    bits, data = 8 * values.dtype.itemsize, values.tobytes()
    (tmp_path / "0.tif").write_bytes(tiff(8, 6, bits=bits, data=data, photometric=0, sample_format=sample_format))
    (tmp_path / "1.tif").write_bytes(tiff(8, 6, bits=bits, data=data, photometric=1, sample_format=sample_format))
    turned, plain = decode(tmp_path / "0.tif"), decode(tmp_path / "1.tif")
    np.testing.assert_allclose(turned.pixels, 1 - plain.pixels, atol=1e-7)
    if bits > 8:
        assert turned.span == plain.span[::-1]


def test_a_12_bit_tiff_is_divided_by_4095(tmp_path: Path) -> None:
    row = np.linspace(0, 4095, 8).astype(int)
    packed = b"".join(bytes([a >> 4, (a & 15) << 4 | b >> 8, b & 255]) for a, b in row.reshape(-1, 2).tolist())
    (tmp_path / "x.tif").write_bytes(tiff(8, 6, bits=12, data=packed * 6))
    picture = decode(tmp_path / "x.tif")
    np.testing.assert_allclose(picture.pixels, np.tile(row / 4095, (6, 1)), atol=1e-6)
    assert (picture.bits, picture.span) == (16, (0.0, 4095.0))


def test_a_signed_8_bit_tiff_is_stretched_like_wider_ones(tmp_path: Path) -> None:
    values = np.tile(np.linspace(-100, 100, 8).astype(np.int8), (6, 1))
    (tmp_path / "x.tif").write_bytes(tiff(8, 6, bits=8, data=values.tobytes(), sample_format=2))
    picture = decode(tmp_path / "x.tif")
    np.testing.assert_allclose(picture.pixels, (values.astype(float) + 100) / 200, atol=1e-6)
    assert picture.span == (-100.0, 100.0)


def deep_files() -> dict[str, bytes]:
    """Files of 16 bits a channel that Pillow decodes to 8."""
    deep = {channels: RNG.integers(0, 65536, (9, 7, channels), dtype=np.uint16) for channels in (2, 3, 4)}
    rows = {channels: b"".join(b"\0" + row.astype(">u2").tobytes() for row in deep[channels]) for channels in deep}
    return {
        "colour.png": png(7, 9, bits=16, colour=2, data=rows[3]),
        "clear-gray.png": png(7, 9, bits=16, colour=4, data=rows[2]),
        "clear-colour.png": png(7, 9, bits=16, colour=6, data=rows[4]),
        "colour.tif": tiff(7, 9, bits=16, data=deep[3].tobytes(), photometric=2, channels=3),
        "clear-colour.tif": tiff(7, 9, bits=16, data=deep[4].tobytes(), photometric=2, channels=4),
        "colour.ppm": b"P6 7 9 65535\n" + deep[3].astype(">u2").tobytes(),
        "plain.ppm": b"P3 7 9 65535\n" + b" ".join(str(value).encode() for value in deep[3].ravel()),
    }


@pytest.mark.parametrize("name", deep_files())
def test_what_would_be_cut_to_8_bits_is_refused_with_the_mend(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(deep_files()[name])
    assert "holds 16 bits a channel" in reason(tmp_path / name)
    with Image.open(tmp_path / name) as image:
        assert "Save it as 16-bit gray without transparency, or at 8 bits" in reason(image)


def test_a_ppm_says_its_bits_by_its_largest_value(tmp_path: Path) -> None:
    deep = RNG.integers(0, 1024, (9, 7, 3), dtype=np.uint16)
    (tmp_path / "x.ppm").write_bytes(b"P6 7 9 1023\n" + deep.astype(">u2").tobytes())
    assert "holds 10 bits a channel" in reason(tmp_path / "x.ppm")
    (tmp_path / "x.ppm").write_bytes(b"P6 7 9 31\n" + (deep % 32).astype(np.uint8).tobytes())
    np.testing.assert_allclose(decode(tmp_path / "x.ppm").pixels, deep % 32 / 31, atol=1 / 255)


def test_1_bit_images_are_black_and_white(tmp_path: Path) -> None:
    picture = decode(saved(Image.fromarray(GRAY > 127), tmp_path / "x.png"))
    np.testing.assert_array_equal(picture.pixels, (GRAY > 127).astype(np.float32))
    assert picture.bits == 1


def test_a_cmyk_jpeg_shows_its_colours(tmp_path: Path) -> None:
    red = Image.new("RGB", (16, 16), (200, 30, 40)).convert("CMYK")
    pixels = decode(saved(red, tmp_path / "x.jpg", quality=100)).pixels
    np.testing.assert_allclose(pixels[8, 8], np.array([200, 30, 40]) / 255, atol=0.03)


def test_a_palette_gives_its_colours_not_its_numbers(tmp_path: Path) -> None:
    palette = Image.fromarray(COLOUR).quantize(16)
    picture = decode(saved(palette, tmp_path / "x.png"))
    np.testing.assert_array_equal(picture.pixels, np.asarray(palette.convert("RGB"), dtype=np.float32) / 255)


def test_a_transparent_palette_colour_lies_on_white(tmp_path: Path) -> None:
    image = Image.new("P", (8, 8), 0)
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((3, 5), 1)
    pixels = decode(saved(image, tmp_path / "x.png", transparency=0)).pixels
    assert (pixels[0, 0] == 1).all()
    np.testing.assert_array_equal(pixels[5, 3], np.array([40, 50, 60], dtype=np.float32) / 255)


@pytest.mark.parametrize(("mode", "opaque"), [("LA", GRAY), ("RGBA", COLOUR)])
def test_opaque_alpha_changes_nothing(tmp_path: Path, mode: str, opaque: NDArray[np.uint8]) -> None:
    with_alpha = decode(saved(Image.fromarray(opaque).convert(mode), tmp_path / "x.png"))
    without = decode(saved(opaque, tmp_path / "y.png"))
    np.testing.assert_array_equal(with_alpha.pixels, without.pixels)
    assert with_alpha.digest == without.digest


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_what_is_transparent_lies_on_white(tmp_path: Path, mode: str) -> None:
    image = Image.new(mode, (8, 8), (0, 0) if mode == "LA" else (0, 0, 0, 0))
    image.putpixel((2, 2), (0, 255) if mode == "LA" else (0, 0, 0, 255))
    image.putpixel((4, 4), (0, 128) if mode == "LA" else (0, 0, 0, 128))
    pixels = decode(saved(image, tmp_path / "x.png")).pixels.reshape(8, 8, -1)[:, :, 0]
    assert (pixels[0, 0], pixels[2, 2]) == (1, 0)
    assert pixels[4, 4] == pytest.approx(127 / 255, abs=0.01)


@pytest.mark.parametrize(
    ("image", "white"), [(Image.fromarray(GRAY), 255), (Image.fromarray(DEEP), 65535)], ids=["8 bits", "16 bits"]
)
def test_a_gray_value_that_a_png_calls_transparent_is_white(tmp_path: Path, image: Image.Image, white: int) -> None:
    values = np.asarray(image)
    picture = decode(saved(image, tmp_path / "x.png", transparency=int(values[0, 0])))
    expected = np.where(values == values[0, 0], white, values) / white
    np.testing.assert_array_equal(picture.pixels, expected.astype(np.float32))


@pytest.mark.parametrize("turn", STORED_FROM_UPRIGHT)
@pytest.mark.parametrize(
    ("name", "options", "upright"),
    [
        ("x.png", {}, GRAY),
        ("deep.png", {}, DEEP),
        ("x.webp", {"lossless": True}, COLOUR),
        ("raw.tif", {}, GRAY),
        ("deep.tif", {}, DEEP),
        ("packed.tif", {"compression": "tiff_lzw"}, GRAY),
    ],
)
def test_an_image_that_exif_turns_equals_the_upright_one(
    tmp_path: Path, name: str, options: dict[str, Any], upright: NDArray[Any], turn: int
) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = turn
    path = saved(STORED_FROM_UPRIGHT[turn](upright), tmp_path / name, exif=exif, **options)
    assert decode(path).digest == decode(upright).digest


@pytest.mark.parametrize("turn", STORED_FROM_UPRIGHT)
def test_a_turned_jpeg_is_upright(tmp_path: Path, turn: int) -> None:
    upright = np.zeros((24, 32), np.uint8)
    upright[:8, :16] = 255
    exif = Image.Exif()
    exif[ORIENTATION] = turn
    path = saved(STORED_FROM_UPRIGHT[turn](upright), tmp_path / "x.jpg", exif=exif, quality=95)
    np.testing.assert_allclose(decode(path).pixels, upright / 255, atol=0.05)


# ---------------------------------------------------------------------------------- floats and other arrays


def test_floats_in_0_to_1_are_kept(tmp_path: Path) -> None:
    values = RNG.random((9, 7), dtype=np.float32) / 2
    for picture in (decode(saved(values, tmp_path / "x.tif")), decode(values)):
        np.testing.assert_array_equal(picture.pixels, values)
        assert picture.bits == 32


def test_floats_of_another_range_are_stretched_to_0_to_1(tmp_path: Path) -> None:
    values = (RNG.random((9, 7), dtype=np.float32) - 0.5) * 3000
    pixels = decode(saved(values, tmp_path / "x.tif")).pixels
    np.testing.assert_allclose(pixels, (values - values.min()) / np.ptp(values), atol=1e-6)
    assert (pixels.min(), pixels.max()) == (0, 1)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_refused_with_their_number(tmp_path: Path, bad: float) -> None:
    values = np.zeros((9, 7), np.float32)
    values[1, 2] = values[3, 4] = bad
    assert "2 pixels that are NaN or infinite" in reason(saved(values, tmp_path / "x.tif"))
    assert "2 pixels that are NaN or infinite" in reason(values)


def test_a_constant_outside_0_to_1_is_refused() -> None:
    assert "7.0 everywhere" in reason(np.full((8, 8), 7.0))
    assert (decode(np.full((8, 8), 0.25)).pixels == 0.25).all()


@settings(deadline=None, max_examples=60)
@given(
    hnp.arrays(
        st.sampled_from([np.uint8, np.uint16, np.dtype(">u2"), np.int16, np.int32, np.uint32, np.float32, np.float64]),
        st.sampled_from([(5, 4), (4, 6, 1), (5, 5, 3)]),
    )
)
def test_an_array_is_decoded_into_0_to_1_or_refused_with_a_reason(array: NDArray[Any]) -> None:
    try:
        pixels = decode(array).pixels
    except BadImage:
        return
    assert pixels.dtype == np.float32
    assert pixels.shape == (array.shape[:2] if array.shape[2:] in ((), (1,)) else array.shape)
    assert pixels.min() >= 0
    assert pixels.max() <= 1


def test_arrays_and_pil_images_are_decoded_as_their_files_are(tmp_path: Path) -> None:
    for name, array in {"gray": GRAY, "deep": DEEP, "colour": COLOUR, "bool": GRAY > 99}.items():
        from_file = decode(saved(array, tmp_path / f"{name}.png"))
        for given_ in (array, Image.fromarray(array)):
            assert decode(given_).digest == from_file.digest, name
            assert decode(given_).bits == from_file.bits, name
    assert decode(DEEP.astype(">u2")).digest == decode(DEEP).digest


@pytest.mark.parametrize("shape", [(9,), (9, 7, 2), (3, 9, 7), (1, 9, 7, 3)])
def test_an_array_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    said = reason(np.zeros(shape, np.uint8))
    assert f"has the shape {shape}" in said
    assert ("Give several images in a list" in said) == (len(shape) > 2), "a batch is no image"


@pytest.mark.parametrize("dtype", [object, complex, "U1"])
def test_an_array_of_no_numbers_is_refused(dtype: Any) -> None:
    assert "is an array of" in reason(np.zeros((8, 8), dtype))


def test_what_is_no_image_at_all_is_refused() -> None:
    assert "give a path, a PIL image or a numpy array" in reason(3)


# --------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize("array", [GRAY[:1, :1], GRAY[: MIN_SIDE - 1], np.zeros((0, 9), np.uint8)])
def test_images_too_small_to_show_anything_are_refused(array: NDArray[np.uint8]) -> None:
    assert "too small" in reason(array)


def test_a_1x1_file_is_refused(tmp_path: Path) -> None:
    assert "is 1x1: too small" in reason(saved(GRAY[:1, :1], tmp_path / "x.png"))


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [int(MAX_PIXELS**0.5) + 1, 50_000, 2**31 - 1])
def test_a_huge_image_is_refused_before_any_pixel_is_read(tmp_path: Path, side: int) -> None:
    # Its pixels are not even there: reading any would say "damaged".
    (tmp_path / "x.png").write_bytes(png(side, side, bits=8, colour=2, data=b""))
    assert "too large" in reason(tmp_path / "x.png")


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "bmp", "webp", "ppm"])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_a_file_cut_short_is_refused(tmp_path: Path, suffix: str, share: float) -> None:
    whole = saved(RNG.integers(0, 256, (40, 40, 3), dtype=np.uint8), tmp_path / f"whole.{suffix}").read_bytes()
    cut = tmp_path / f"cut.{suffix}"
    cut.write_bytes(whole[: int(len(whole) * share)])
    assert "damaged" in reason(cut) or "not an image" in reason(cut)


def test_a_pil_image_of_a_cut_file_is_refused_too(tmp_path: Path) -> None:
    whole = saved(RNG.integers(0, 256, (40, 40), dtype=np.uint8), tmp_path / "x.png").read_bytes()
    (tmp_path / "x.png").write_bytes(whole[: len(whole) // 2])
    with Image.open(tmp_path / "x.png") as image:
        assert "damaged" in reason(image)


def test_a_file_of_zero_bytes_is_called_empty(tmp_path: Path) -> None:
    (tmp_path / "x.png").touch()
    assert "is empty (zero bytes)" in reason(tmp_path / "x.png")


def test_text_named_png_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_text("not an image, whatever its name")
    assert "not an image" in reason(tmp_path / "x.png")


@pytest.mark.parametrize("frames", [1, 2])
def test_formats_outside_the_list_are_refused_and_the_list_is_told(tmp_path: Path, frames: int) -> None:
    more = [Image.fromarray(255 - GRAY)] * (frames - 1)
    said = reason(saved(GRAY, tmp_path / "x.gif", save_all=True, append_images=more))
    assert "PNG, JPEG, TIFF" in said


@pytest.mark.parametrize("suffix", ["tif", "png", "webp"])
def test_a_file_of_several_frames_is_refused(tmp_path: Path, suffix: str) -> None:
    path = saved(COLOUR, tmp_path / f"x.{suffix}", save_all=True, append_images=[Image.fromarray(255 - COLOUR)])
    assert "holds 2 frames" in reason(path)


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path: Path) -> None:
    assert "there is no such file" in reason(tmp_path / "gone.png")
    assert "is a folder" in reason(tmp_path)


def test_a_name_that_no_system_takes_is_a_bad_image() -> None:
    assert reason("x" * 5000)


# -------------------------------------------------------------------------------------- digests and sizes


def test_copies_share_a_digest_whatever_their_format(tmp_path: Path) -> None:
    paths = [saved(GRAY, tmp_path / name) for name in ("a.png", "b.png", "c.bmp", "d.tif", "e.pgm")]
    assert len({decode(path).digest for path in paths}) == 1


def test_a_gray_image_saved_in_colour_is_a_copy() -> None:
    assert decode(np.dstack([GRAY] * 3)).digest == decode(GRAY).digest


def test_another_pixel_or_another_shape_is_another_image() -> None:
    changed = GRAY.copy()
    changed[4, 4] ^= 1
    digests = {decode(array).digest for array in (GRAY, changed, GRAY.T, GRAY.reshape(7, 9), COLOUR)}
    assert len(digests) == 5


def spec(height: int, width: int, channels: Any = 1) -> InputSpec:
    return InputSpec((height, width), channels, (0.0,) * channels, (1.0,) * channels)


@pytest.mark.parametrize("size", [(4, 5), (9, 7), (20, 31)])
def test_fitting_gray_is_pillows_bilinear(size: tuple[int, int]) -> None:
    pixels = decode(GRAY).pixels
    expected = np.asarray(Image.fromarray(pixels).resize(size[::-1], Image.Resampling.BILINEAR))
    np.testing.assert_allclose(fit(pixels, spec(*size))[0], expected, atol=1e-6)


def test_gray_is_repeated_over_three_channels() -> None:
    fitted = fit(decode(GRAY).pixels, spec(9, 7, 3))
    assert fitted.shape == (3, 9, 7)
    assert (fitted == decode(GRAY).pixels).all()


def test_colour_becomes_gray_by_bt_601() -> None:
    fitted = fit(decode(COLOUR).pixels, spec(9, 7))
    np.testing.assert_allclose(fitted[0], COLOUR / 255 @ np.array([0.299, 0.587, 0.114]), atol=1e-6)


def test_colour_keeps_its_channels() -> None:
    np.testing.assert_array_equal(fit(decode(COLOUR).pixels, spec(9, 7, 3)), decode(COLOUR).pixels.transpose(2, 0, 1))


@settings(deadline=None, max_examples=40)
@given(
    hnp.arrays(np.uint8, st.sampled_from([(4, 4), (5, 9), (6, 4, 3)])),
    st.integers(1, 12),
    st.integers(1, 12),
    st.sampled_from([1, 3]),
)
def test_what_is_fitted_has_the_backbones_shape_and_stays_in_0_to_1(
    array: NDArray[np.uint8], height: int, width: int, channels: int
) -> None:
    fitted = fit(decode(array).pixels, spec(height, width, channels))
    assert (fitted.shape, fitted.dtype) == ((channels, height, width), np.float32)
    assert fitted.min() >= 0
    assert fitted.max() <= 1


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("crop", [1.0, 0.875])
def test_the_middle_is_kept_and_resized_as_the_spec_says(interpolation: Any, crop: float) -> None:
    """As Pillow crops and resizes, where the crop falls on whole pixels."""
    pixels = np.random.default_rng(0).random((64, 64), dtype=np.float32)
    spec = InputSpec((28, 28), 1, (0.0,), (1.0,), interpolation=interpolation, crop=crop)
    margin = round(64 * (1 - crop) / 2)
    cropped = Image.fromarray(pixels[margin : 64 - margin, margin : 64 - margin].copy())
    expected = np.clip(cropped.resize((28, 28), getattr(Image.Resampling, interpolation.upper())), 0, 1)
    inner = slice(2, -2)  # at the edge of a crop Pillow's filter sees no pixels outside it, ours does
    np.testing.assert_allclose(fit(pixels, spec)[0][inner, inner], expected[inner, inner], atol=1e-5)


class Named:
    """A path of another library's."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __fspath__(self) -> str:
        return str(self.path)


def test_any_path_is_a_path(tmp_path: Path) -> None:
    path = saved(Image.fromarray(GRAY), tmp_path / "x.png")
    assert decode(Named(path)).source == str(path)
    assert decode(Named(path)).digest == decode(path).digest
    assert "there is no such file" in reason(Named(tmp_path / "y.png"))


def test_a_palette_in_memory_whose_colours_are_transparent_lies_on_white(tmp_path: Path) -> None:
    image = Image.new("RGBA", (16, 16), (0, 0, 0, 0))
    image.paste((200, 30, 30, 255), (4, 4, 12, 12))
    palette = image.quantize(4, method=Image.Quantize.FASTOCTREE)
    assert palette.palette is not None
    assert (palette.palette.mode, palette.info) == ("RGBA", {}), "nothing but the palette says so"
    pixels = decode(palette).pixels
    assert (pixels[0, 0] == 1).all()
    np.testing.assert_array_equal(pixels, decode(saved(palette, tmp_path / "x.png")).pixels)
