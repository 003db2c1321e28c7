"""Decoding: an image as it was measured, float32 in [0, 1], whatever file, mode or bit depth it came in."""

from __future__ import annotations

import hashlib
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from nearkin.contracts import FloatArray, ImageLike, InputSpec
from nearkin.data.dicom import NotOneImage, is_dicom, read_dicom
from nearkin.data.headers import TIFF_BITS, TIFF_PHOTOMETRIC, TIFF_SAMPLE_FORMAT, file_bits, tag
from nearkin.errors import DataError, PluginError, printable

FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "PPM")
MAX_PIXELS = 100_000_000
MIN_SIDE = 4
"""Pixels. Less shows nothing."""
LUMA = (0.299, 0.587, 0.114)
"""Red, green, blue to gray (ITU-R BT.601)."""
WHITE_IS_ZERO, UNSIGNED, SIGNED = 0, 1, 2
SPAN_8, SPAN_16 = (0.0, 255.0), (0.0, 65535.0)
_OPENING = threading.Lock()


class BadImage(DataError):
    """One image that cannot be used: which, why, and the mend."""

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(f"{printable(source)}: {reason}")
        self.source = source
        self.reason = reason


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded image."""

    pixels: FloatArray
    """(h, w) gray or (h, w, 3) RGB, in [0, 1]."""
    bits: int
    """Bits a channel as decoded: 1, 8, 16, 32 or 64; of DICOM as stored: 8 to 16, or 1."""
    source: str
    """The path; `image` or `array` for what was in memory."""
    span: tuple[float, float] = (0.0, 1.0)
    """The values that 0 and 1 stand for, in the image's own units; the larger one first where low is white."""
    whole: FloatArray | None = None
    """Like `pixels`, before the DICOM file's own window or table; `None` where it has none, and of all other files."""
    padding: NDArray[np.bool_] | None = None
    """(h, w): where a DICOM file says that there is no image; `None` where it says nothing, and of all other files."""

    @property
    def unwindowed(self) -> FloatArray:
        """The pixels over the whole span: what another window is laid on."""
        return self.pixels if self.whole is None else self.whole

    @property
    def digest(self) -> str:
        """A hash of shape and pixels: copies of one image share it, whatever their files are called.

        A gray image that was saved with three equal channels is a copy too.
        """
        pixels = self.pixels
        if pixels.ndim == 3 and (pixels == pixels[:, :, :1]).all():
            pixels = pixels[:, :, 0]
        return hashlib.sha256(str(pixels.shape).encode() + np.ascontiguousarray(pixels).tobytes()).hexdigest()


def decode(image: ImageLike) -> Picture:
    """A path, PIL image or array -> its pixels. `BadImage` says why it cannot be used.

    A DICOM file needs the extra `dicom`; see `nearkin.data.dicom` for what is done to its values.

    16-bit values are divided by 65535, never clipped. Signed or wider integers, and floats, are kept where they
    all lie in [0, 1], else stretched from the image's own least value to its largest. Transparency is laid on
    white; EXIF orientation is applied. A file of colour or transparency with more than 8 bits a channel is refused:
    Pillow would cut it to 8.
    """
    if isinstance(image, (str, os.PathLike)):
        path = Path(os.fsdecode(image))
        with _named(str(path)):
            return _from_file(path)
    if isinstance(image, Image.Image):
        with _named("image"):
            return _from_pil(image, "image")
    if isinstance(image, np.ndarray):
        return _from_array(image, "array")
    raise BadImage(repr(image)[:80], f"is a {type(image).__name__}; give a path, a PIL image or a numpy array.")


@contextmanager
def _named(source: str) -> Iterator[None]:
    """Whatever goes wrong inside becomes a `BadImage` of this source."""
    try:
        yield
    except (BadImage, PluginError, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BadImage(source, f"is too large: at most {MAX_PIXELS:,} pixels. Shrink it first.") from error
    except UnidentifiedImageError as error:
        known = f"{', '.join(FORMATS)}, and DICOM with its preamble"
        raise BadImage(source, f"is not an image that can be read. Known formats: {known}; convert it.") from error
    # Decoders raise whatever they meet in a damaged file.
    except Exception as error:
        if isinstance(error, OSError) and error.strerror:
            raise BadImage(source, f"cannot be read ({error.strerror}).") from error
        raise BadImage(source, f"is damaged or cut short ({error}); copy it again.") from error


def _from_file(path: Path) -> Picture:
    if not path.is_file():
        raise BadImage(str(path), "is a folder, not an image." if path.is_dir() else "there is no such file.")
    if path.stat().st_size == 0:
        raise BadImage(str(path), "is empty (zero bytes); copy it again.")
    if is_dicom(path):
        return _from_dicom(path)
    # An open file, not its name: given the name, Pillow maps a raw TIFF and scrambles one that is turned by 90 degrees.
    with path.open("rb") as file, _open(file) as image:
        return _from_pil(image, str(path))


def _from_dicom(path: Path) -> Picture:
    try:
        frame = read_dicom(path, MAX_PIXELS)
    except NotOneImage as error:
        raise BadImage(str(path), f"is a DICOM file, but {error}.") from error
    _check_size(frame.pixels.shape[1], frame.pixels.shape[0], str(path))
    return Picture(frame.pixels, frame.bits, str(path), frame.span, frame.whole, frame.padding)


def _open(file: BinaryIO) -> Image.Image:
    """The header alone is read."""
    # Pillow warns of sizes that are allowed here. Filters are the whole process's: without the lock, threads
    # would restore each other's.
    with _OPENING, warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(file, formats=FORMATS)


def _from_pil(image: Image.Image, source: str) -> Picture:
    _check_size(image.width, image.height, source)
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        raise BadImage(source, f"holds {frames} frames; which one is meant? Save the one you want on its own.")
    bits = file_bits(image)  # asked first: turning reads the pixels
    upright = ImageOps.exif_transpose(image)
    if upright.mode in ("I", "F") or upright.mode.startswith("I;16"):
        picture = _from_deep(image, upright, source)
        return _turned(picture) if tag(image, TIFF_PHOTOMETRIC) == WHITE_IS_ZERO else picture
    if bits > 8:
        raise BadImage(
            source,
            f"holds {bits} bits a channel, but colour and transparency are read at 8. Save it as 16-bit gray without "
            "transparency, or at 8 bits a channel.",
        )
    if upright.mode == "L" and tag(image, TIFF_SAMPLE_FORMAT) == SIGNED:
        return _stretched(np.asarray(upright).view(np.int8), 8, source)
    if upright.mode == "1":
        return Picture(_from_8_bit(upright), 1, source)
    return Picture(_from_8_bit(upright), 8, source, SPAN_8)


def _check_size(width: int, height: int, source: str) -> None:
    if width * height > MAX_PIXELS:
        raise BadImage(source, f"is {width}x{height}, too large: at most {MAX_PIXELS:,} pixels. Shrink it first.")
    if min(width, height) < MIN_SIDE:
        least = f"{MIN_SIDE} pixels a side are the least"
        raise BadImage(source, f"is {width}x{height}: too small to show anything; {least}.")


def _from_8_bit(image: Image.Image) -> FloatArray:
    """Two-level, palette, gray, RGB, CMYK and the like, with or without transparency."""
    if image.has_transparency_data:
        gray = image.mode in ("1", "L", "LA", "La")
        clear = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
        flat = Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear)
        image = flat.getchannel("R") if gray else flat.convert("RGB")
    elif image.mode not in ("L", "RGB"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    return np.asarray(image, dtype=np.float32) / np.float32(255)


def _turned(picture: Picture) -> Picture:
    """White for black. Pillow does so for a TIFF whose 0 is white up to 8 bits, and no further."""
    return replace(picture, pixels=np.float32(1) - picture.pixels, span=picture.span[::-1])


def _from_deep(image: Image.Image, upright: Image.Image, source: str) -> Picture:
    """Gray of more than 8 bits. 16-bit files come as mode I;16, or as mode I like 32-bit ones."""
    values = np.asarray(upright)
    if image.mode == "F":
        return _stretched(values, 32, source)
    bits = tag(image, TIFF_BITS)
    if image.mode == "I" and bits:
        # Pillow reads unsigned values of 32 bits into signed ones; a signed image may have no negative pixel.
        unsigned = tag(image, TIFF_SAMPLE_FORMAT) in (None, UNSIGNED)
        return _stretched(values.view(np.uint32) if unsigned else values, bits, source)
    top = 4095 if bits == 12 else 65535
    if values.min() < 0 or values.max() > top:
        return _stretched(values, 32, source)
    clear = image.info.get("transparency")
    on_white = values if clear is None else np.where(values == clear, top, values)
    return Picture((on_white / top).astype(np.float32), 16, source, (0.0, float(top)))


def is_stretched(values: NDArray[Any]) -> bool:
    """Whether an array goes from its own least value to its largest, as nothing says what its values mean."""
    return not _has_a_range(values) and not _in_unit_range(values)


def _has_a_range(values: NDArray[Any]) -> bool:
    """Whether its type says what is black and what is white: unsigned, of 8 or 16 bits."""
    return values.dtype.kind == "u" and values.dtype.itemsize <= 2  # either byte order, so not the dtype itself


def _in_unit_range(values: NDArray[Any]) -> bool:
    return bool(values.min() >= 0 and values.max() <= 1)


def _stretched(values: NDArray[Any], bits: int, source: str) -> Picture:
    """Kept where already in [0, 1]; else from the least value to the largest."""
    finite = np.isfinite(values)
    if not finite.all():
        raise BadImage(source, f"holds {(~finite).sum()} pixels that are NaN or infinite; mend them first.")
    if _in_unit_range(values):
        return Picture(values.astype(np.float32), bits, source)
    low, high = float(values.min()), float(values.max())
    if low == high:
        raise BadImage(source, f"is {low} everywhere, which is outside [0, 1] and cannot be scaled.")
    if not np.isfinite(high - low):
        raise BadImage(source, f"reaches from {low} to {high}, which is too far to scale.")
    pixels = ((values.astype(np.float64) - low) / (high - low)).astype(np.float32)
    return Picture(pixels, bits, source, (low, high))


def _from_array(array: NDArray[Any], source: str) -> Picture:
    """(h, w), (h, w, 1), (h, w, 3) or (h, w, 4): bool, uint8, uint16, other integers, floats."""
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim != 2 and (array.ndim != 3 or array.shape[2] not in (3, 4)):
        wanted = "(h, w), (h, w, 1), (h, w, 3) or (h, w, 4)"
        batch = " Give several images in a list: list(x)." if array.ndim in (3, 4) or array.dtype.kind in "OU" else ""
        raise BadImage(source, f"has the shape {array.shape}; images are {wanted}, channels last.{batch}")
    _check_size(array.shape[1], array.shape[0], source)
    if array.dtype.kind not in "biuf":
        raise BadImage(source, f"is an array of {array.dtype}; give bool, whole numbers or floats.")
    if array.dtype == np.uint8:
        # The way of a PNG with these values, so that both have one digest.
        return _from_pil(Image.fromarray(np.ascontiguousarray(array)), source)
    picture = _scaled(array, source)
    if array.ndim == 3 and array.shape[2] == 4:
        alpha = picture.pixels[:, :, 3:]
        return replace(picture, pixels=picture.pixels[:, :, :3] * alpha + (1 - alpha))
    return picture


def _scaled(array: NDArray[Any], source: str) -> Picture:
    """To [0, 1], all channels alike; of 8 bits it has gone another way."""
    if _has_a_range(array):
        return Picture((array / 65535).astype(np.float32), 16, source, SPAN_16)
    if array.ndim == 3 and array.shape[2] == 4 and not _in_unit_range(array):
        raise BadImage(source, f"has an alpha channel and values of {array.dtype} outside [0, 1]; scale it first.")
    return _stretched(array, 1 if array.dtype.kind == "b" else 8 * array.dtype.itemsize, source)


def fit(pixels: FloatArray, spec: InputSpec) -> FloatArray:
    """(h, w) or (h, w, 3) -> (channels, height, width) in [0, 1], as the backbone takes it, not yet normalised.

    Gray by ITU-R BT.601, three channels by repeating gray; averaging where it shrinks; the aspect is not kept.
    """
    planes = [pixels] if pixels.ndim == 2 else [pixels[:, :, channel] for channel in range(3)]
    if spec.channels == 1 and len(planes) == 3:
        planes = [sum((w * p for w, p in zip(LUMA, planes, strict=True)), start=np.zeros_like(planes[0]))]
    resized = [_resized(plane, spec) for plane in planes]
    # Weights that add up to 1 may round to a hair above it.
    return np.clip(np.stack(resized * (spec.channels // len(resized))), 0, 1)


def _resized(plane: FloatArray, spec: InputSpec) -> FloatArray:
    if plane.shape == spec.size and spec.crop == 1:
        return plane
    image = Image.fromarray(np.ascontiguousarray(plane))
    margin = (1 - spec.crop) / 2
    middle = (image.width * margin, image.height * margin, image.width * (1 - margin), image.height * (1 - margin))
    filters = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
    return np.asarray(
        image.resize((spec.size[1], spec.size[0]), filters[spec.interpolation], box=middle), dtype=np.float32
    )
