"""The recipe: what a run is asked to do, typed, frozen, every default filled in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from nearkin.contracts import Kind, Metric, Options
from nearkin.recipe.contrast import Contrast
from nearkin.recipe.preparation import CropOptions, Preparation
from nearkin.recipe.unknown_options import UnknownOptions

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
OperatingPoint = Annotated[str, Field(min_length=1)]


def is_pattern(label: str) -> bool:
    """Whether a class's name is a shell pattern, unless some label reads exactly so."""
    return not {*label}.isdisjoint("*?[")


class ExtraClassesOptions(Options):
    """Every class to learn again, turned or mirrored, as a class of its own that only trains (Santoro et al. 2016)."""

    rotations: tuple[Literal[90, 180, 270], ...] = ()
    """Degrees, counterclockwise."""
    mirror: bool = False
    """Left and right exchanged, of each rotation too."""


class FoldOptions(Options):
    """One fold of the training images, which calibrates instead of training: what cross-conformal trainings write."""

    number: Positive
    of: Annotated[int, Field(ge=2, le=100)]


class DataOptions(Options):
    """Which images, which classes are known, and how many of each go where."""

    source: Literal["digits", "folder", "manifest", "npz"]
    """`digits`: scikit-learn's 1,797 handwritten digits. `folder`: a folder a class. `manifest`: a CSV file.
    `npz`: arrays of images and labels in one file, as MedMNIST has them."""
    path: str | None = None
    """Of a folder, manifest or npz file. A relative one is looked up where NEARKIN_DATA says, else in ./data."""
    group: str | None = None
    """For a folder: a regular expression over an image's path in it. What its brackets hold, joined by `/`, is the
    image's group, which no split parts: `(patient\\d+)`. Left out: every image is its own."""
    known: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """The classes to learn, as text or shell patterns. Left out: every label that stands nowhere else."""
    select_classes: tuple[str, ...] = ()
    """Classes that never train and are `select` in place of the known ones: for judging on new classes."""
    unknown: Literal["rest"] | tuple[str, ...] = ()
    """Classes that are never learned, only asked about, in test. `rest`: all that have no other role."""
    shots: Positive | Literal["all"] = 10
    """Images a class to train on, or `all` that other splits leave. They are the index's references too."""
    select: Count | Literal["all"] = 10
    """Images a class for early stopping and choices; 0 for none; `all` where `select_classes` are named."""
    calibrate: Count = 20
    """Images a class to calibrate `unknown`; 0 for none."""
    test: Positive | None = None
    """Images a class for figures; left out: all that remain."""
    extra_classes: ExtraClassesOptions | None = None
    contrast: Contrast | None = None
    """How values become black, white and gray, such as `{type: window, center: 40, width: 400}`. Left out: as measured,
    DICOM as its own window shows it. Part of the model: whoever opens the run prepares images so."""
    crop: CropOptions | None = None
    """To a square around what differs from the background, such as `{fill: 0.85}`. Left out: the whole image. Part of
    the model as contrast is, and done before it."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    """Draws the splits. Left out: the recipe's seed."""
    drop_leaks: bool = False
    """Leaves out test images that another split of the source holds a copy of, or one that looks the same: the rule of
    `nearkin data check`, which sees pixels alone."""
    held_out_seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    """Draws select and calibrate first and by itself, so that they stay while `seed` draws other shots from the rest:
    for a warm start, whose base must never have seen them. Left out: train is drawn first, all by `seed`."""
    fold: FoldOptions | None = None
    """Left out of train to calibrate, where `unknown.way: cross_conformal` trains once a fold. Not for you to write."""

    @property
    def preparation(self) -> Preparation:
        """What is done to an image before it is brought to size."""
        return Preparation(self.contrast, self.crop)

    @model_validator(mode="after")
    def _path_where_needed(self) -> DataOptions:
        if (self.path is None) != (self.source == "digits"):
            raise ValueError("source 'digits' takes no path" if self.path else f"source {self.source!r} needs a path")
        return self

    @model_validator(mode="after")
    def _group_where_it_can_be(self) -> DataOptions:
        if self.group is None:
            return self
        if self.source != "folder":
            raise ValueError(f"group is for source 'folder'; {self.source!r} has its own way to say it")
        try:
            brackets = re.compile(self.group).groups
        except re.error as error:
            raise ValueError(f"group is no regular expression: {error}") from error
        if not brackets:
            raise ValueError("group needs brackets around what names the group, as in (patient\\d+)")
        return self

    @model_validator(mode="after")
    def _all_of_select(self) -> DataOptions:
        if self.select == "all" and not self.select_classes:
            raise ValueError(
                "select 'all' needs select_classes: of the known classes nothing would be left to train on"
            )
        return self


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
    shear: Annotated[float, Field(ge=0, lt=90)] = 0.0
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

    kornia: tuple[KorniaOptions, ...] = ()
    """After the warping, in this order. Needs `pip install nearkin[augment]`."""


class TrainOptions(Options):
    """How long, how fast, where."""

    steps: Positive | None = None
    """Optimiser steps. Give this or `epochs`."""
    epochs: Positive | None = None
    """Passes; the sampler says how many steps one takes."""
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
    """Of the network while it trains; losses are float32 always. bfloat16 is faster on most machines since 2020."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """`auto`: an accelerator where there is one. Another that is not there is an error."""
    checkpoint_every: Positive = 100
    """Steps between two checkpoints: what a kill can cost."""

    @model_validator(mode="after")
    def _one_length(self) -> TrainOptions:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give exactly one of steps and epochs")
        return self


class EmbedOptions(Options):
    """How a trained model embeds an image, for the index and for every figure: once, or as several views of it."""

    views: Annotated[int, Field(ge=1, le=1000)] = 1
    """The image as it is, and the others warped; the same warps for every image, drawn by the recipe's seed."""
    warp: WarpOptions | None = None
    """How the other views differ."""
    join: Literal["mean", "concat"] = "mean"
    """`mean`: the views' embeddings averaged. `concat`: side by side and scaled, so that a distance is the mean of
    the views' (l1, cosine, the square of l2); the embedding is so many times as long."""
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
