"""A space of its own for the outlier score: its parts side by side, standardised on the references."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from nearkin.contracts import FloatArray, Metric
from nearkin.errors import listing
from nearkin.index.distances import CHUNK, row_chunks
from nearkin.index.inputs import count_problem, refuse, vector_problems


@dataclass(frozen=True)
class Space:
    """Checked when made: `IndexCallError` names all that cannot be meant.

    Standardised, each dimension counts in standard deviations of the references, and each part alike, however many
    dimensions it has: the squared l2 distance is the sum over parts of the mean square over dimensions.
    """

    name: str
    """As a reason says it: `stages 11 to 16 of the initial backbone`."""
    dims: tuple[int, ...]
    """Of each part."""
    metric: Metric = "l2"
    standardize: bool = True

    def __post_init__(self) -> None:
        whole = tuple(self.dims) if isinstance(self.dims, Iterable) else (self.dims,)
        object.__setattr__(self, "dims", whole)
        known = self.metric in get_args(Metric)
        refuse(
            [
                "" if isinstance(self.name, str) and self.name else f"space: {self.name!r} is no name.",
                "" if known else f"space: metric {self.metric!r}: it is one of {', '.join(get_args(Metric))}.",
                "" if isinstance(self.standardize, bool) else f"space: standardize {self.standardize!r}: a bool.",
                *(count_problem("space: dims", dim) for dim in self.dims or (0,)),
            ]
        )

    @property
    def dim(self) -> int:
        """Of all parts together."""
        return sum(self.dims)

    @property
    def said(self) -> str:
        """With all that scores rest on."""
        return f"{self.name}, {'standardised ' if self.standardize else ''}{self.metric}"

    def problems(self, vectors: FloatArray | None, n: int) -> list[str]:
        """What is wrong with the rows in this space that go with n embeddings."""
        if vectors is None and not n:
            return []
        if vectors is None:
            return [
                f"this index scores unknown in a space of its own ({self.name}, {self.dim} dimensions), and these "
                "embeddings come without their place in it. Give images, or what run.model.embed(images) gives, or "
                "nearkin.Embedded(embeddings, space=...)."
            ]
        if vectors.ndim != 2 or vectors.shape != (n, self.dim):
            shape = " x ".join(map(str, vectors.shape))
            return [f"space: {shape} numbers for {n} embeddings; this index's ({self.name}) has {self.dim} dimensions."]
        return [f"space: {problem}" for problem in vector_problems(vectors, self.dim, self.metric)]

    def fitted(self, references: FloatArray) -> FittedSpace:
        """(n, e) references -> what places any vector as they lie."""
        if not self.standardize:
            return FittedSpace(self, None, None)
        middle = references.mean(axis=0, dtype=np.float64)
        squares = np.zeros_like(middle)
        for rows in row_chunks(len(references), self.dim, CHUNK):
            squares += ((references[rows] - middle) ** 2).sum(axis=0)
        spread = np.sqrt(squares / max(1, len(references)))
        # One that never varies among the references says nothing in standard deviations: it counts as it is.
        varies = spread > np.finfo(np.float32).eps * np.abs(middle)
        wide = np.repeat(np.sqrt(self.dims), self.dims)
        return FittedSpace(self, middle, np.where(varies, spread, 1.0) * wide)

    def written(self) -> dict[str, Any]:
        """As plain data."""
        return {"name": self.name, "dims": list(self.dims), "metric": self.metric, "standardize": self.standardize}

    @classmethod
    def read(cls, said: Mapping[str, Any]) -> Space:
        """What `written` gave."""
        strange = sorted({*said} - {"name", "dims", "metric", "standardize"})
        if strange or not isinstance(said["standardize"], bool):
            raise ValueError(f"no space is made with {listing(strange or ['that standardize'])}.")
        return cls(said["name"], tuple(said["dims"]), said["metric"], said["standardize"])


@dataclass(frozen=True, eq=False)
class FittedSpace:
    """A space that knows its references."""

    space: Space
    middle: NDArray[np.float64] | None
    """(e,)"""
    scale: NDArray[np.float64] | None
    """(e,)"""

    def __call__(self, vectors: FloatArray) -> FloatArray:
        """(n, e) as the model gives them -> (n, e) as scores compare them."""
        if self.middle is None or self.scale is None:
            return vectors
        placed = np.empty(vectors.shape, dtype=np.float32)
        for rows in row_chunks(len(vectors), vectors.shape[1], CHUNK):
            placed[rows] = (vectors[rows] - self.middle) / self.scale
        return placed


# ------------------------------------------------------------------- a column that may not be there


def no_rows(dim: int | None) -> FloatArray | None:
    """(0, dim), where there is a space."""
    return None if dim is None else np.zeros((0, dim), dtype=np.float32)


def rows_of(column: FloatArray | None, rows: Any) -> FloatArray | None:
    """Those rows of it."""
    return None if column is None else column[rows]


def stacked(columns: Sequence[FloatArray | None]) -> FloatArray | None:
    """One below the other: it is there in all or in none."""
    there = [column for column in columns if column is not None]
    return np.concatenate(there) if there else None
