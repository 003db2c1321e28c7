"""Contrast: window, percentiles or CLAHE, on an image's whole range of values, before it is brought to any size."""

from __future__ import annotations

import numpy as np

from nearkin.contracts import FloatArray
from nearkin.data.images import BadImage, Picture
from nearkin.errors import PluginError
from nearkin.recipe.contrast import ClaheOptions, ContrastOptions, PercentileOptions, WindowOptions

BINS = 256
"""Of a tile's histogram."""
SMALLEST_TILE = 4
"""Pixels a side: a histogram of fewer says nothing."""


def with_contrast(picture: Picture, contrast: ContrastOptions | None) -> FloatArray:
    """(h, w) or (h, w, 3) in [0, 1], all channels alike. `BadImage` where nothing would be left to see.

    Window and percentiles keep the order of values and their 16 bits. CLAHE sorts them into 256 bins between the
    least and the largest, and interpolates between tiles.
    """
    if contrast is None:
        return _as_it_says(picture)
    if isinstance(contrast, WindowOptions):
        return _windowed(picture, contrast)
    if isinstance(contrast, PercentileOptions):
        return _between_percentiles(picture, contrast)
    return _equalized(picture, contrast)


def _as_it_says(picture: Picture) -> FloatArray:
    """As measured, or in the DICOM file's own window or table."""
    pixels, whole = picture.pixels, picture.whole
    if whole is not None and (pixels == pixels[0, 0]).all() and not (whole == whole[0, 0]).all():
        raise BadImage(
            picture.source,
            "shows nothing in its own window: all its values are one gray there. Give data.contrast a window with "
            "center and width, or percentiles, or mend the file.",
        )
    return pixels


def _windowed(picture: Picture, window: WindowOptions) -> FloatArray:
    """DICOM's LINEAR_EXACT (PS3.3 C.11.2.1.3.2), which windows of any width can be."""
    if window.center is None or window.width is None:
        if picture.whole is None:
            raise BadImage(picture.source, "has no window of its own (DICOM alone can). Give center and width.")
        return _as_it_says(picture)
    black, white = picture.span
    edges = [window.center - window.width / 2, window.center + window.width / 2]
    low, high = sorted((edge - black) / (white - black) for edge in edges)
    pixels = picture.unwindowed
    if pixels.max() <= low or pixels.min() >= high:
        values = sorted(black + float(pixel) * (white - black) for pixel in (pixels.min(), pixels.max()))
        raise BadImage(
            picture.source,
            f"shows nothing in the window from {edges[0]:g} to {edges[1]:g}: its values are {values[0]:g} to "
            f"{values[1]:g}. Give another window, in the image's own units.",
        )
    return _between(pixels, low, high)


def _between_percentiles(picture: Picture, wanted: PercentileOptions) -> FloatArray:
    """Between values that are there, so that doing it twice changes nothing."""
    pixels = picture.unwindowed
    inside = pixels if picture.padding is None else pixels[~picture.padding]
    low = float(np.percentile(inside, wanted.low, method="lower"))
    high = float(np.percentile(inside, wanted.high, method="higher"))
    if low == high:
        said = f"its percentiles {wanted.low:g} and {wanted.high:g} are one value"
        raise BadImage(picture.source, f"{said}, so nothing is left to see. Set them farther apart, or mend the image.")
    return _between(pixels, low, high)


def _between(pixels: FloatArray, low: float, high: float) -> FloatArray:
    """`low` and below to 0, `high` and above to 1."""
    stretched = (pixels.astype(np.float64) - low) / (high - low)
    return np.clip(stretched, 0, 1).astype(np.float32)


def _equalized(picture: Picture, clahe: ClaheOptions) -> FloatArray:
    """Of colour, its value (the largest of its channels)."""
    try:
        from skimage.exposure import equalize_adapthist
    except ImportError as error:
        raise PluginError('data.contrast clahe needs scikit-image: pip install "nearkin[contrast]".') from error
    height, width = picture.pixels.shape[:2]
    tile = (height // clahe.tiles, width // clahe.tiles)
    if min(tile) < SMALLEST_TILE:
        most = min(height, width) // SMALLEST_TILE
        said = f"is {width}x{height}, too small for {clahe.tiles} tiles a side"
        raise BadImage(picture.source, f"{said}: {most} at most.")
    if (picture.pixels == picture.pixels[0, 0]).all():
        raise BadImage(picture.source, "is one gray or colour everywhere; there is no contrast to equalise.")
    equal = equalize_adapthist(picture.pixels, kernel_size=tile, clip_limit=clahe.clip_limit / BINS, nbins=BINS)
    return np.asarray(equal, dtype=np.float32)
