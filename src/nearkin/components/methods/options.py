"""What the built-in methods may be told."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from nearkin.contracts import ComparisonOptions, Options


class EmbeddingOptions(ComparisonOptions):
    """Options of embedding."""


class ClassifierOptions(Options):
    """Options of classifier."""

    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """The share of the target that is spread over all classes."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Before the linear layer."""
    layer: bool = True
    """Whether a linear layer gives the classes' scores. `false`: the embedding is these scores, one dimension a class
    (`backbone.embedding_dim`), so that a run that starts from this one takes them over with the backbone."""
    contrast: Annotated[float, Field(ge=0)] = 0.0
    """Weight of supervised contrast (Khosla et al. 2020) beside cross-entropy; 0 for none."""
    temperature: Annotated[float, Field(gt=0)] = 0.1
    """Of the supervised contrast."""

    @model_validator(mode="after")
    def _temperature_is_used(self) -> ClassifierOptions:
        # Its default stands in every recipe that a run writes, so only another value was meant.
        if self.contrast == 0 and self.temperature != type(self).model_fields["temperature"].default:
            raise ValueError("temperature is of the contrast, and contrast is 0: give contrast, or delete temperature")
        return self
