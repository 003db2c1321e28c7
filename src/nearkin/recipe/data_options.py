"""The options of the section `data`: which images, which classes, and what each image is for."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, model_validator

from nearkin.contracts import Options
from nearkin.recipe.contrast import Contrast
from nearkin.recipe.counts import Count, Positive
from nearkin.recipe.preparation import CropOptions, Preparation


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
    """To a box around what differs from the background, such as `{fill: 0.85}`. Left out: the whole image. Part of
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
            raise ValueError(
                "source 'digits' takes no path: delete it" if self.path else f"source {self.source!r} needs a path"
            )
        return self

    @model_validator(mode="after")
    def _group_where_it_can_be(self) -> DataOptions:
        if self.group is None:
            return self
        if self.source != "folder":
            own = {"manifest": "its column 'group' says it", "npz": "its array 'groups' says it"}
            raise ValueError(
                f"group is for source 'folder'; of {self.source!r} {own.get(self.source, 'there are none')}"
            )
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
