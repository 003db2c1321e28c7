"""The options of the section `unknown`, besides its score."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from nearkin.contracts import Options
from nearkin.recipe.space import AnySpace, EmbeddingSpace


class UnknownOptions(Options):
    """What stands behind *unknown*; `score` names the outlier score, such as `{type: knn, k: 1}`."""

    way: Literal["held_out", "leave_one_group_out", "cross_conformal"] = "held_out"
    """What calibrates a class. `held_out`: the images of `data.calibrate`, kept apart. `leave_one_group_out`: the same
    images, which are references too; each group is scored against all other references. For the score `knn` alone.
    `cross_conformal`: the training images; one more model is trained a fold, without it. At worst about 2 alpha."""
    folds: Annotated[int, Field(ge=2, le=100)] | None = None
    """For `cross_conformal` alone; left out: 5."""
    space: AnySpace = EmbeddingSpace(type="embedding")
    """Where the outlier score looks. The label's embedding, unless fine-tuning made it forget what it was not asked."""

    @property
    def n_folds(self) -> int:
        """How many models are trained beside the main one."""
        return (self.folds or 5) if self.way == "cross_conformal" else 0
