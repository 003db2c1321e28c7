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
    """The box around what differs from the background. `BadImage` where nothing does."""
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
    box = _box(rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1, max(pixels.shape[:2]), crop)
    top, left = (int(place[0] + place[-1] + 1 - side) // 2 for place, side in zip((rows, columns), box, strict=True))
    whole = None if picture.whole is None else _cut(picture.whole, top, left, box)
    padding = picture.padding
    if padding is not None:
        padding = _cut(padding, top, left, box, outside=True)
        padding = None if padding.all() else padding
    return replace(picture, pixels=_cut(pixels, top, left, box), whole=whole, padding=padding)


def _box(height: int, width: int, image: int, crop: CropOptions) -> tuple[int, int]:
    """Height and width to cut out around content of these, from an image of that longer side.

    What is cut out becomes the model's square: content of ratio r fills it with the ratio r ** crop.aspect.
    """
    longer = max(height, width)
    sides = (longer / crop.fill * (side / longer) ** (1 - crop.aspect) for side in (height, width))
    smallest = round(image / crop.max_zoom)
    high, wide = (max(round(side), smallest, 1) for side in sides)
    return high, wide


def _background(pixels: FloatArray) -> FloatArray:
    """() or (3,) the median of the outermost pixels."""
    edge = np.concatenate([pixels[0], pixels[-1], pixels[1:-1, 0], pixels[1:-1, -1]])
    ground: FloatArray = np.median(edge, axis=0).astype(np.float32)
    return ground


def _cut(
    pixels: NDArray[Any], top: int, left: int, box: tuple[int, int], *, outside: bool | None = None
) -> NDArray[Any]:
    """A box of (height, width) from `top` and `left` on. Beyond the image: its background, or what `outside` says."""
    out = np.empty((*box, *pixels.shape[2:]), pixels.dtype)
    out[:] = _background(pixels) if outside is None else outside
    rows, columns = (
        slice(max(at, 0), min(at + side, end)) for at, side, end in zip((top, left), box, pixels.shape[:2], strict=True)
    )
    out[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = pixels[rows, columns]
    return out
