"""Contrast: how an image's values become black, white and gray, named as radiologists name it."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, model_validator

from nearkin.contracts import Options

Number = Annotated[float, Field(allow_inf_nan=False)]


class WindowOptions(Options):
    """Black at `center - width / 2`, white at `center + width / 2`, a straight line between: the same for every image.

    In the image's own units: 0 to 255 or 0 to 65535 of integers, [0, 1] of floats that lie in it, of DICOM what its
    rescale gives (Hounsfield units of a CT). Of DICOM it replaces the file's own window.
    """

    type: Literal["window"]
    center: Number | None = None
    """The value that becomes middle gray. Left out, with `width`: each DICOM file's own window, and a file that has
    none is refused by name."""
    width: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """From black to white."""

    @model_validator(mode="after")
    def _both_or_neither(self) -> WindowOptions:
        if (self.center is None) != (self.width is None):
            raise ValueError("a window has a center and a width: give both, or neither for each DICOM file's own")
        return self


class PercentileOptions(Options):
    """Each image from its own darkest to its own brightest, but for what lies outside two percentiles of its pixels."""

    type: Literal["percentile"]
    low: Annotated[float, Field(ge=0, lt=100)] = 1.0
    """Percent of the pixels that become black."""
    high: Annotated[float, Field(gt=0, le=100)] = 99.0
    """Percent of the pixels that do not become white."""

    @model_validator(mode="after")
    def _in_order(self) -> PercentileOptions:
        if self.low >= self.high:
            raise ValueError(f"low must be less than high, not {self.low:g} and {self.high:g}")
        return self


class ClaheOptions(Options):
    """Contrast-limited adaptive histogram equalisation (Zuiderveld 1994). Needs `pip install "nearkin[contrast]"`."""

    type: Literal["clahe"]
    clip_limit: Annotated[float, Field(gt=1, le=256)] = 2.0
    """How many times its mean height a bin of a tile's histogram may have: more is more contrast, and more noise. A bin
    may always hold one pixel, so a tile of fewer than 256 / clip_limit pixels is limited less than this says."""
    tiles: Annotated[int, Field(ge=1, le=64)] = 8
    """A side; where they do not divide it, one or two more, as scikit-image rounds."""


ContrastOptions: TypeAlias = WindowOptions | PercentileOptions | ClaheOptions
Contrast: TypeAlias = Annotated[ContrastOptions, Field(discriminator="type")]
