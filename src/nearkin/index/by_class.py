"""A number for each class, worked out when it is looked at: answers over thousands of classes stay cheap."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from typing import Any

import numpy as np
from numpy.typing import NDArray


class ByClass(Mapping[str, float]):
    """Label -> number, over the columns of one row of an array. Read-only; equal to a dict of the same."""

    __slots__ = ("_columns", "_row")

    def __init__(self, columns: Mapping[str, int], row: NDArray[Any]) -> None:
        self._columns = columns
        """The column of each label."""
        self._row = row
        """(c,)"""

    def __getitem__(self, label: str) -> float:
        return float(self._row[self._columns[label]])

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def __repr__(self) -> str:
        return repr(dict(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)


class Bounds(Set[str]):
    """The labels whose numbers are bounds. Read-only; equal to a set of the same."""

    __slots__ = ("_columns", "_row")

    def __init__(self, columns: Mapping[str, int], row: NDArray[np.bool_]) -> None:
        self._columns = columns
        self._row = row
        """(c,)"""

    def __contains__(self, label: object) -> bool:
        return label in self._columns and bool(self._row[self._columns[str(label)]])

    def __iter__(self) -> Iterator[str]:
        labels = tuple(self._columns)
        return (labels[place] for place in np.flatnonzero(self._row).tolist())

    def __len__(self) -> int:
        return int(self._row.sum())

    def __repr__(self) -> str:
        return repr(set(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return frozenset, (list(self),)
