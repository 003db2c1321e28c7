"""Preparation: what is done to an image before it is brought to the backbone's size; part of the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from nearkin.contracts import Options
from nearkin.recipe.contrast import Contrast, ContrastOptions


class CropOptions(Options):
    """A box around what differs from the background, in its middle, so that place and size in the image are gone.

    The background is the median of the image's outermost pixels, a channel; what a box reaches beyond the image has
    its value. For drawings, symbols and objects on an even ground.
    """

    fill: Annotated[float, Field(gt=0, le=1)] = 0.85
    """The share of the box's side that the content's longer side takes."""
    aspect: Annotated[float, Field(ge=0, le=1)] = 1.0
    """How much of the content's aspect is kept, as a power of it: 1 all, by a square box; 0.5 half, so that content
    twice as wide as high appears 1.41 times as wide; 0 none, so that it takes its share of both sides."""
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.25
    """How far from the background a pixel is content, of the whole range from black to white."""
    max_zoom: Annotated[float, Field(ge=1)] = 2.5
    """Each side of the box is at least the image's longer side divided by this: a dot stays a dot, a bar a bar."""


@dataclass(frozen=True)
class Preparation:
    """Crop first, then contrast."""

    contrast: ContrastOptions | None = None
    crop: CropOptions | None = None

    def plain(self) -> dict[str, Any]:
        """As JSON, by option."""
        return {
            name: options and options.model_dump(mode="json", exclude_none=True)
            for name, options in (("crop", self.crop), ("contrast", self.contrast))
        }

    @classmethod
    def described(cls, description: Mapping[str, Any]) -> Preparation:
        """Of what a model.json says; none in those before format 3."""
        contrast: ContrastOptions | None = CONTRAST.validate_python(description.get("contrast"))
        crop: CropOptions | None = CROP.validate_python(description.get("crop"))
        return cls(contrast, crop)


CONTRAST: TypeAdapter[Any] = TypeAdapter(Contrast | None)
CROP: TypeAdapter[Any] = TypeAdapter(CropOptions | None)
