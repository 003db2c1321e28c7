"""What the built-in outlier scores may be told."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from nearkin.contracts import Options


class KnnOptions(Options):
    """Options of knn."""

    k: Annotated[int, Field(ge=1)] = 1
    """The distance to the k-th nearest reference of the class; 1 for small supports."""


class ScaledKnnOptions(Options):
    """Options of scaled_knn."""

    k: Annotated[int, Field(ge=1)] = 3
    """The mean of the distances to so many nearest references of the class, which must hold one more."""


class PrototypeOptions(Options):
    """Nothing: a class is its mean."""


class MahalanobisOptions(Options):
    """Options of mahalanobis."""

    covariance: Literal["shared", "class"] = "shared"
    """One for all classes, from every reference less its class's mean; or one a class, which wants far more of them."""


class RelativeMahalanobisOptions(Options):
    """Nothing: one covariance for all classes, and one for the background."""


class LofOptions(Options):
    """Options of lof."""

    n_neighbors: Annotated[int, Field(ge=1)] = 10
    """Whose density a point's own is compared with; one less than the class holds where that is fewer."""
