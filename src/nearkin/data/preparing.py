"""Preparing: an image cropped, in its contrast and at the backbone's size."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearkin.contracts import FloatArray, InputSpec
from nearkin.data.contrast import with_contrast
from nearkin.data.images import BadImage, Picture, fit
from nearkin.recipe.preparation import CropOptions, Preparation


def prepared(picture: Picture, spec: InputSpec, preparation: Preparation) -> FloatArray:
    """(channels, height, width) in [0, 1], as the model takes the image."""
    if preparation.crop is not None:
        picture = cropped(picture, preparation.crop)
    return fit(with_contrast(picture, preparation.contrast), spec)


def cropped(picture: Picture, crop: CropOptions) -> Picture:
    """The square around what differs from the background. `BadImage` where nothing does."""
    pixels = picture.pixels
    ground = _background(pixels)
    differs = np.abs(pixels - ground) > crop.threshold
    content = differs if pixels.ndim == 2 else differs.any(axis=2)
    rows, columns = np.flatnonzero(content.any(axis=1)), np.flatnonzero(content.any(axis=0))
    if not len(rows):
        raise BadImage(
            picture.source,
            f"has nothing that differs from its background by more than {crop.threshold:g}, so there is nothing to "
            "crop to. Lower data.crop.threshold, or leave the image out.",
        )
    longer = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    side = max(round(longer / crop.fill), round(max(pixels.shape[:2]) / crop.max_zoom), 1)
    top, left = ((place[0] + place[-1] + 1 - side) // 2 for place in (rows, columns))
    whole = None if picture.whole is None else _square(picture.whole, int(top), int(left), side)
    padding = picture.padding
    if padding is not None:
        padding = _square(padding, int(top), int(left), side, outside=True)
        padding = None if padding.all() else padding
    return replace(picture, pixels=_square(pixels, int(top), int(left), side), whole=whole, padding=padding)


def _background(pixels: FloatArray) -> FloatArray:
    """() or (3,) the median of the outermost pixels."""
    edge = np.concatenate([pixels[0], pixels[-1], pixels[1:-1, 0], pixels[1:-1, -1]])
    ground: FloatArray = np.median(edge, axis=0).astype(np.float32)
    return ground


def _square(pixels: NDArray[Any], top: int, left: int, side: int, *, outside: bool | None = None) -> NDArray[Any]:
    """Rows and columns from `top` and `left` on. Beyond the image lies its background, or what `outside` says."""
    square = np.empty((side, side, *pixels.shape[2:]), pixels.dtype)
    square[:] = _background(pixels) if outside is None else outside
    height, width = pixels.shape[:2]
    rows, columns = (slice(max(at, 0), min(at + side, end)) for at, end in ((top, height), (left, width)))
    square[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = pixels[rows, columns]
    return square
