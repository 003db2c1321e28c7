"""Looks: what tells copies, borders and sizes of an image, at a size that any number of them fits into memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import dctn

from nearkin.contracts import FloatArray, InputSpec
from nearkin.data.images import BadImage, fit
from nearkin.data.items import Item
from nearkin.data.sources import Source

VIEW = 64
"""Side of the view that copies, borders and corners are judged on, in pixels."""
HASH_SIDE, HASH_OF = 8, 32


@dataclass(frozen=True, eq=False)
class Look:
    """One image, as the check sees it."""

    item: Item
    height: int
    width: int
    bits: int
    channels: int
    digest: str
    """Of the decoded pixels: equal for exact copies."""
    phash: NDArray[np.bool_]
    """(63,) see `perceptual_hash`."""
    view: FloatArray
    """(VIEW, VIEW) gray in [0, 1]."""

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """What a resolution or a device would give away."""
        return self.height, self.width, self.channels, self.bits


def look_at(
    source: Source, items: Sequence[Item], progress: Callable[[int, int], None] | None = None
) -> tuple[list[Look], list[BadImage]]:
    """Decode every item once, on a few threads; those that cannot be used come back with their reasons."""

    def one(item: Item) -> Look | BadImage:
        try:
            return _look(source, item)
        except BadImage as bad:
            return bad

    looks: list[Look] = []
    bad: list[BadImage] = []
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as threads:
        for done, found in enumerate(threads.map(one, items)):
            if isinstance(found, BadImage):
                bad.append(found)
            else:
                looks.append(found)
            if progress:
                progress(done + 1, len(items))
    return looks, bad


def _look(source: Source, item: Item) -> Look:
    picture = source.load(item)
    view = fit(picture.pixels, InputSpec((VIEW, VIEW), 1, (0.0,), (1.0,)))[0]
    height, width = picture.pixels.shape[:2]
    channels = 1 if picture.pixels.ndim == 2 else 3
    return Look(item, height, width, picture.bits, channels, picture.digest, perceptual_hash(view), view)


def perceptual_hash(view: FloatArray) -> NDArray[np.bool_]:
    """(h, w) gray -> (63,): whether each low frequency but the mean is above their median (DCT hash, Zauner 2010).

    Scaling, compression and a change of brightness leave most of the bits alone.
    """
    small = np.asarray(Image.fromarray(view).resize((HASH_OF, HASH_OF), Image.Resampling.BILINEAR))
    low = dctn(small.astype(np.float64), norm="ortho")[:HASH_SIDE, :HASH_SIDE].ravel()[1:]
    above: NDArray[np.bool_] = low > np.median(low)
    return above
