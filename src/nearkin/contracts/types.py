"""The vocabulary: the words that recipes, components and answers share, and arrays by name."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

# Spelled as text, so that a plugin can import them without importing numpy.
FloatArray: TypeAlias = "NDArray[np.float32]"
IntArray: TypeAlias = "NDArray[np.int64]"
ImageLike: TypeAlias = "str | PathLike[str] | Image | NDArray[Any]"

Metric: TypeAlias = Literal["l1", "l2", "cosine"]
"""`l2` is not squared; `cosine` is 1 - cos. Smaller is closer."""
ClassRule: TypeAlias = Literal["nearest", "prototype", "attention"]
"""How a label follows from distances: nearest reference, nearest class mean, cosine attention."""
StructureKind: TypeAlias = Literal["labels", "pairs", "triplets", "episode"]
Status: TypeAlias = Literal["known", "ambiguous", "unknown"]
Split: TypeAlias = Literal["train", "select", "calibrate", "test"]


def parent_of(label: str) -> str:
    """What a nested class lies in: `alphabet` of `alphabet/character`, nothing where a label has no `/`."""
    return label.rpartition("/")[0]


class Options(BaseModel):
    """The base of every options model: unknown keys are errors, values are not coerced, nothing changes later."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


class PartOptions(Options):
    """The base of a section in a component's options that names a part by its type: `distance: {type: cosine}`.

    Give it `type: Literal["cosine"]`, without a default, and a first line of documentation that says what it is.
    """

    kind: ClassVar[str] = "part"
    """What `nearkin components` lists it as."""


@dataclass(frozen=True)
class InputSpec:
    """The images a backbone takes. Pixels come in as [0, 1] and are normalised as (x - mean) / std, a channel each."""

    size: tuple[int, int]
    """(height, width) in pixels."""
    channels: Literal[1, 3]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    """How pixels are made where the size changes."""
    crop: float = 1.0
    """The middle share of each side that is kept."""

    def __post_init__(self) -> None:
        """Lists become tuples: a saved model's spec is held against that of the installed backbone."""
        for name in ("size", "mean", "std"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
