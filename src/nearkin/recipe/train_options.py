"""The options of the section `train`: steps, optimiser, schedule, stopping, warps."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from nearkin.contracts import Options
from nearkin.recipe.counts import Count, Positive


class OptimizerOptions(Options):
    """How weights move. torch.optim's Adam, AdamW or SGD."""

    type: Literal["adam", "adamw", "sgd"] = "adam"
    lr: Annotated[float, Field(gt=0)] = 1e-3
    """Learning rate."""
    backbone_lr: Annotated[float, Field(gt=0)] | None = None
    """Of the backbone without its projection head, for fine-tuning. Left out: `lr`."""
    loss_lr: Annotated[float, Field(gt=0)] | None = None
    """Of the loss's own weights (class directions, proxies, centres), which often learn best faster. Left out: `lr`."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Pulls weights towards 0: an L2 term in the gradient of adam and sgd, apart from it in adamw."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """For sgd alone."""

    @model_validator(mode="after")
    def _momentum_is_used(self) -> OptimizerOptions:
        # Its default stands beside adam in every recipe that a run writes, so only another value was meant.
        if self.type != "sgd" and self.momentum != type(self).model_fields["momentum"].default:
            raise ValueError(f"momentum is for sgd alone, and type is {self.type}: take type: sgd, or delete momentum")
        return self


class ScheduleOptions(Options):
    """How the learning rate changes over the run."""

    type: Literal["constant", "linear", "cosine"] = "cosine"
    """After the warm-up: stay, or fall to zero along a line or half a cosine."""
    warmup: Count = 0
    """Steps that rise linearly from 0 to the full rate."""


class EarlyStoppingOptions(Options):
    """When to stop, judged on the select split alone; the best weights are kept."""

    every: Positive = 20
    """Steps between two looks."""
    patience: Positive = 10
    """Looks without a better score before stopping."""
    target: Annotated[float, Field(gt=0, le=1)] | None = None
    """A score to reach: the run says after how many steps it did, or that it never did."""
    stop_at_target: bool = False
    """Whether training ends there."""


class WarpOptions(Options):
    """Random changes of an image's shape, each image on its own; edges repeat."""

    degrees: Annotated[float, Field(ge=0, le=180)] = 0.0
    """Rotation, up to this either way."""
    translate: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Shift, up to this share of the side either way."""
    scale: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Zoom, from 1 - scale to 1 + scale."""
    stretch: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Width against height, from 1 - stretch to 1 + stretch."""
    shear: Annotated[float, Field(ge=0, lt=45)] = 0.0
    """Slant of each axis, up to so many degrees either way."""
    elastic: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Smooth warping: each point of a coarse grid moves up to this share of the side either way."""


class KorniaOptions(Options):
    """One of kornia's augmentations by its class's name, with its own arguments beside: `p: 0.5`."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True, use_attribute_docstrings=True)

    type: str
    """`RandomErasing`, `RandomGaussianBlur`, ...; checked against the installed kornia before training."""


class AugmentOptions(WarpOptions):
    """Random changes of each training image of each batch, on the device."""

    compose: Annotated[float, Field(gt=0, le=0.5)] | None = None
    """This share of an episode's classes become, for that step, classes made of two: each of their images is put
    together with one of another class, side by side or overlapping, before anything is warped. For signs drawn on a
    plain ground, where few classes are known. Needs a sampler of episodes."""
    kornia: tuple[KorniaOptions, ...] = ()
    """After the warping, in this order. Needs `pip install "nearkin[augment]"`."""


class TrainOptions(Options):
    """How long, how fast, where."""

    steps: Positive | None = None
    """Optimiser steps. Give this or `epochs`."""
    epochs: Positive | None = None
    """Passes; the sampler says how many batches one takes. Several processes take a batch each a step."""
    optimizer: OptimizerOptions = OptimizerOptions()
    schedule: ScheduleOptions = ScheduleOptions()
    early_stopping: EarlyStoppingOptions | None = EarlyStoppingOptions()
    """`null` for none."""
    clip_norm: Annotated[float, Field(gt=0)] | None = None
    """Gradients are scaled down to this L2 norm where theirs is larger."""
    augment: AugmentOptions | None = None
    average: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Keep an exponential moving average of the weights with this decay, and judge and save that: 0.998, say."""
    rotation: Annotated[float, Field(gt=0)] | None = None
    """Weight of a second task, without labels: by how many quarter turns was the image turned (Gidaris et al. 2018)?
    So the last stage keeps what the classes do not ask of it, a space for `unknown`. A step takes twice as long."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the network while it trains; losses are float32 always. bfloat16 is faster where the hardware has units for it
    (GPUs since 2020, processors with AMX), and slower where it has not."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """`auto`: an accelerator where there is one. Another that is not there is an error."""
    checkpoint_every: Positive = 100
    """Steps between two checkpoints: what a kill can cost."""

    @model_validator(mode="after")
    def _one_length(self) -> TrainOptions:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give exactly one of steps and epochs")
        return self
