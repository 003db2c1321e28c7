"""Decoding: an image as it was measured, float32 in [0, 1], whatever file, mode or bit depth it came in."""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from nearkin.contracts import FloatArray, ImageLike, InputSpec
from nearkin.errors import DataError

FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "PPM")
MAX_PIXELS = 100_000_000
MIN_SIDE = 4
"""Pixels. Less shows nothing."""
LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""Red, green, blue to gray (ITU-R BT.601)."""


class BadImage(DataError):
    """One image that cannot be used: which, why, and the mend."""

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(f"{source}: {reason}")
        self.source = source
        self.reason = reason


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded image."""

    pixels: FloatArray
    """(h, w) gray or (h, w, 3) RGB, in [0, 1]."""
    bits: int
    """Bits a channel of the source: 1, 8, 16 or 32."""
    source: str
    """The path; `image` or `array` for what was in memory."""

    @property
    def digest(self) -> str:
        """A hash of shape and pixels: copies of one image share it, whatever their files are called."""
        header = str(self.pixels.shape).encode()
        return hashlib.sha256(header + np.ascontiguousarray(self.pixels).tobytes()).hexdigest()


def decode(image: ImageLike) -> Picture:
    """A path, PIL image or array -> its pixels. `BadImage` says why it cannot be used.

    16-bit values are divided by 65535, never clipped. Other integers beyond 8 bits, and floats, are kept where they
    lie in [0, 1], else stretched from the image's own least value to its largest. Transparency is laid on white;
    EXIF orientation is applied.
    """
    if isinstance(image, (str, Path)):
        return _decode_file(Path(image))
    if isinstance(image, Image.Image):
        return _from_pil(image, "image")
    if isinstance(image, np.ndarray):
        return _from_array(image, "array")
    raise BadImage(repr(image)[:80], f"is a {type(image).__name__}; give a path, a PIL image or a numpy array.")


def _decode_file(path: Path) -> Picture:
    if not path.is_file():
        raise BadImage(str(path), "is a folder, not an image." if path.is_dir() else "there is no such file.")
    if path.stat().st_size == 0:
        raise BadImage(str(path), "is empty (zero bytes); copy it again.")
    try:
        with warnings.catch_warnings():
            # Pillow's own guard against huge images warns first; the cap here is checked before any pixel is read.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as image:
                _check_header(image, str(path))
                image.load()
                return _from_pil(image, str(path))
    except BadImage:
        raise
    except Image.DecompressionBombError as error:
        raise BadImage(str(path), f"is too large: at most {MAX_PIXELS:,} pixels.") from error
    except Image.UnidentifiedImageError as error:
        raise BadImage(str(path), f"is not an image that can be read; known are {', '.join(FORMATS)}.") from error
    # Decoders raise whatever they meet in a damaged file.
    except Exception as error:
        raise BadImage(str(path), f"is damaged or cut short ({error}); copy it again.") from error


def _check_header(image: Image.Image, source: str) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise BadImage(source, f"is {width}x{height}, too large: at most {MAX_PIXELS:,} pixels. Shrink it first.")
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        raise BadImage(source, f"holds {frames} frames; which one is meant? Save the one you want on its own.")


def _from_pil(image: Image.Image, source: str) -> Picture:
    _check_header(image, source)
    upright = ImageOps.exif_transpose(image)
    if upright.mode == "1":
        return _checked(np.asarray(upright, dtype=np.float32), 1, source)
    if upright.mode == "I" or upright.mode.startswith("I;16"):
        return _from_integers(np.asarray(upright).astype(np.int64), source)
    if upright.mode == "F":
        return _checked(_stretched(np.asarray(upright, dtype=np.float64), source), 32, source)
    return _checked(_from_8_bit(upright), 8, source)


def _from_8_bit(image: Image.Image) -> FloatArray:
    """Palette, gray, RGB, CMYK and the like, with or without transparency."""
    if "transparency" in image.info or image.mode in ("LA", "La", "RGBA", "RGBa", "PA"):
        gray = image.mode in ("LA", "La", "L")
        clear = image.convert("RGBA")
        flat = Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear).convert("RGB")
        image = flat.getchannel(0) if gray else flat
    elif image.mode not in ("L", "RGB"):
        image = image.convert("RGB")
    return np.asarray(image, dtype=np.float32) / 255


def _from_integers(values: NDArray[np.int64], source: str) -> Picture:
    """16-bit files come as mode I;16, or as mode I; what needs more than 16 bits is stretched."""
    if values.size and 0 <= values.min() and values.max() <= 65535:
        return _checked((values / 65535).astype(np.float32), 16, source)
    return _checked(_stretched(values.astype(np.float64), source), 32, source)


def _stretched(values: NDArray[np.float64], source: str) -> FloatArray:
    """Kept where already in [0, 1]; else from the least value to the largest."""
    if not np.isfinite(values).all():
        raise BadImage(source, f"holds {(~np.isfinite(values)).sum()} pixels that are NaN or infinite; mend them first.")
    low, high = float(values.min(initial=np.inf)), float(values.max(initial=-np.inf))
    if low >= 0 and high <= 1:
        return values.astype(np.float32)
    if low == high:
        raise BadImage(source, f"is {low} everywhere, which is outside [0, 1] and cannot be scaled.")
    return ((values - low) / (high - low)).astype(np.float32)


def _from_array(array: NDArray[Any], source: str) -> Picture:
    """(h, w), (h, w, 1), (h, w, 3) or (h, w, 4): bool, uint8, uint16, other integers, floats."""
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        raise BadImage(source, f"has the shape {array.shape}; images are (h, w), (h, w, 3) or (h, w, 4).")
    kind = array.dtype.kind
    if kind == "b":
        return _checked(array.astype(np.float32), 1, source)
    if array.dtype == np.uint8:
        return _from_pil(Image.fromarray(np.ascontiguousarray(array)), source)
    if array.ndim == 3 and array.shape[2] == 4:
        raise BadImage(source, f"has four channels of {array.dtype}; alpha is understood for uint8 alone.")
    if array.dtype == np.uint16:
        return _checked((array / 65535).astype(np.float32), 16, source)
    if kind in "iuf":
        return _checked(_stretched(array.astype(np.float64), source), 32, source)
    raise BadImage(source, f"is an array of {array.dtype}; give whole numbers or floats.")


def _checked(pixels: FloatArray, bits: int, source: str) -> Picture:
    height, width = pixels.shape[:2]
    if height * width > MAX_PIXELS:
        raise BadImage(source, f"is {width}x{height}, too large: at most {MAX_PIXELS:,} pixels. Shrink it first.")
    if min(height, width) < MIN_SIDE:
        raise BadImage(source, f"is {width}x{height}: too small to show anything; {MIN_SIDE} pixels a side are the least.")
    return Picture(pixels, bits, source)


def fit(pixels: FloatArray, spec: InputSpec) -> FloatArray:
    """(h, w) or (h, w, 3) -> (channels, height, width) in [0, 1], as the backbone takes it, not yet normalised.

    Gray by ITU-R BT.601, three channels by repeating gray; bilinear, averaging where it shrinks; the aspect is not
    kept.
    """
    planes = [pixels] if pixels.ndim == 2 else [pixels[:, :, channel] for channel in range(3)]
    if spec.channels == 1 and len(planes) == 3:
        planes = [pixels @ LUMA]
    resized = [_resized(plane, spec.size) for plane in planes]
    return np.stack(resized * (spec.channels // len(resized)))


def _resized(plane: FloatArray, size: tuple[int, int]) -> FloatArray:
    if plane.shape == size:
        return np.ascontiguousarray(plane, dtype=np.float32)
    image = Image.fromarray(np.ascontiguousarray(plane, dtype=np.float32))
    return np.asarray(image.resize((size[1], size[0]), Image.Resampling.BILINEAR), dtype=np.float32)
