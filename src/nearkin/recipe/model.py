"""The recipe: what a run is asked to do, typed, frozen, every default filled in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field, model_validator

from nearkin.contracts import Kind, Metric, Options
from nearkin.recipe.counts import Positive
from nearkin.recipe.data_options import DataOptions
from nearkin.recipe.train_options import TrainOptions, WarpOptions
from nearkin.recipe.unknown_options import UnknownOptions

OperatingPoint = Annotated[str, Field(min_length=1)]


class EmbedOptions(Options):
    """How a trained model embeds an image, for the index and for every figure: once, or as several views and turns."""

    views: Annotated[int, Field(ge=1, le=1000)] = 1
    """The image as it is, and the others warped; the same warps for every image, drawn by the recipe's seed."""
    warp: WarpOptions | None = None
    """How the other views differ."""
    join: Literal["mean", "concat"] = "mean"
    """`mean`: the views' embeddings averaged. `concat`: side by side and scaled, so that a distance is the mean of
    the views' (l1, cosine, the square of l2); the embedding is so many times as long."""
    rotations: tuple[Literal[90, 180, 270], ...] = ()
    """Degrees, counterclockwise: every view turned by these too, side by side with itself, so that a distance is the
    mean of theirs; the embedding is so many times longer. For networks that learned turned classes as classes of their
    own (`data.extra_classes`)."""
    discriminant: Annotated[float, Field(gt=0)] | None = None
    """With `concat`: where classes are told by a few images of each (`episodes`), what the views of those images
    differ in counts less: linear discriminant analysis, with this share of the mean scatter added to every direction.
    1 is a good start. The index compares without it."""

    @model_validator(mode="after")
    def _warped_where_several(self) -> EmbedOptions:
        if (self.views > 1) != (self.warp is not None):
            raise ValueError("several views need a warp, and one has none: give both views and warp, or neither")
        if self.discriminant is not None and (self.views == 1 or self.join != "concat"):
            raise ValueError("discriminant needs the views apart: give several views and join: concat, or leave it out")
        if len(set(self.rotations)) < len(self.rotations):
            raise ValueError("rotations names a turn twice: name each once")
        return self


class IndexOptions(Options):
    """How the index compares and when it says unknown."""

    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.10
    """The promised upper bound on the share of a known class's images that are flagged unknown."""
    k: Positive | None = None
    """How the first recipes wrote `unknown: {score: {type: knn, k: 1}}`; read as that."""
    operating_points: Mapping[OperatingPoint, Annotated[float, Field(gt=0, lt=1)]] = {}
    """Other alphas by name, such as `{triage: 0.10, screening: 0.05}`: `query(image, alpha="triage")`."""
    metric: Metric | None = None
    """How embeddings are compared. Left out: as the method does; needed where its loss's distance has no index."""


@dataclass(frozen=True)
class Selection:
    """A component as the recipe names it, with its options checked and filled in."""

    kind: Kind
    type: str
    options: Options


@dataclass(frozen=True)
class BackboneSection:
    """One backbone as the recipe has it."""

    selection: Selection
    init_from: tuple[str, ...] = ()
    """The run whose backbone it begins with, or several, of whose weights it takes the mean."""


@dataclass(frozen=True)
class Recipe:
    """A validated recipe. `resolved()` in `nearkin.recipe` writes it out in full."""

    name: str
    seed: int
    data: DataOptions
    backbones: tuple[BackboneSection, ...]
    """One, or several side by side."""
    method: Selection
    sampler: Selection
    loss: Selection | None
    train: TrainOptions
    index: IndexOptions
    engine: Selection
    """What searches the references: written in the section `index`."""
    score: Selection
    """How strange an image is for a class: written in the section `unknown`."""
    unknown: UnknownOptions
    evaluate: tuple[Selection, ...]
    embed: EmbedOptions = field(default_factory=EmbedOptions)
