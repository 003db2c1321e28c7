"""The section `unknown.space`: where the outlier score looks, in place of the label's embedding."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, field_validator

from nearkin.contracts import Metric, Options

Stage = Annotated[int, Field(ge=1)]


class EmbeddingSpace(Options):
    """The label's own embedding: one space for both."""

    type: Literal["embedding"]

    @property
    def said(self) -> str:
        """As a reason says it."""
        return "embedding"


class FeaturesPart(Options):
    """What stages of the backbone say, each stage's map averaged over its places, side by side."""

    type: Literal["features"]
    stages: Annotated[tuple[Stage, ...], Field(min_length=1)]
    """By number, from 1: blocks of conv4, residual stages, the mobile blocks of efficientnet_lite0 (sixteen) and
    efficientnet_lite2 (twenty-one)."""
    weights: Literal["initial", "pretrained", "trained"] = "initial"
    """`initial`: the backbone before this run's first step (what `init_from` gave, else as it was made); `pretrained`:
    as its own options made it (ImageNet's, say), before `init_from`; `trained`: as this run trained it."""

    @field_validator("stages")
    @classmethod
    def _each_once(cls, stages: tuple[int, ...]) -> tuple[int, ...]:
        if list(stages) != sorted(set(stages)):
            raise ValueError("stages are named once each, in order, as in [2, 3, 4]")
        return stages

    @property
    def said(self) -> str:
        """As a reason says it."""
        first, last = self.stages[0], self.stages[-1]
        whole = self.stages == tuple(range(first, last + 1)) and len(self.stages) > 2
        named = f"{first} to {last}" if whole else " and ".join(map(str, self.stages))
        return f"stage{'s' if len(self.stages) > 1 else ''} {named} of the {self.weights} backbone"


class FeaturesSpace(FeaturesPart):
    """As a part of a joined space, and how it is compared."""

    metric: Metric = "l2"
    """How the outlier score compares in this space."""
    standardize: bool = True
    """Whether each dimension counts in standard deviations of the references."""


SpacePart: TypeAlias = EmbeddingSpace | FeaturesPart


class JoinedSpace(Options):
    """Several spaces side by side: dimensions in standard deviations of the references, each space counting alike."""

    type: Literal["joined"]
    spaces: Annotated[tuple[Annotated[SpacePart, Field(discriminator="type")], ...], Field(min_length=2)]
    """Two or more, such as `[{type: embedding}, {type: features, stages: [3]}]`."""
    metric: Metric = "l2"
    """How the outlier score compares in this space."""


AnySpace: TypeAlias = Annotated[EmbeddingSpace | FeaturesSpace | JoinedSpace, Field(discriminator="type")]


def parts_of(space: EmbeddingSpace | FeaturesSpace | JoinedSpace) -> tuple[SpacePart, ...]:
    """What stands side by side in it; nothing where it is the label's own."""
    if isinstance(space, EmbeddingSpace):
        return ()
    if isinstance(space, JoinedSpace):
        return space.spaces
    return (FeaturesPart(type="features", stages=space.stages, weights=space.weights),)
