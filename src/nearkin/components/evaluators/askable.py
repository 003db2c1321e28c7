"""Which test items a figure may rest on: not trained on, each image once, in an order of their own."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from nearkin.contracts import View

if TYPE_CHECKING:
    from nearkin.contracts import IntArray


SPANNING = -1
"""The stratum of units that several classes share."""


@dataclass(frozen=True)
class Askable:
    """Test items sorted by class, unit and digest, so that draws do not depend on the order they came in."""

    rows: IntArray
    """(n,) positions in the view."""
    codes: IntArray
    """(n,) class codes; the number of classes stands for every other label."""
    units: IntArray
    """(n,) what is resampled together: the group, or the image itself where it has none."""
    left_out: Mapping[str, int]
    """How many items of the view take no part, by reason."""

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def n_units(self) -> int:
        """How many different units there are."""
        return len(np.unique(self.units))

    @cached_property
    def strata(self) -> IntArray:
        """(u,) in the order of `np.unique(units)`: each unit's class, or `SPANNING` where it is of several."""
        pairs = sorted({*zip(self.units.tolist(), self.codes.tolist(), strict=True)})
        own = dict(pairs)
        n_classes = Counter(unit for unit, _ in pairs)
        return np.array([code if n_classes[unit] == 1 else SPANNING for unit, code in own.items()], dtype=np.int64)

    @property
    def resampled(self) -> Literal["images", "groups"]:
        """`groups` where any of them holds several images."""
        return "groups" if self.n_units < len(self) else "images"

    def where(self, chosen: NDArray[Any]) -> Askable:
        """The items of a (n,) mask, or at (k,) positions."""
        return replace(self, rows=self.rows[chosen], codes=self.codes[chosen], units=self.units[chosen])


def askable(view: View, classes: Sequence[str] | None = None) -> Askable:
    """Items of the view without those that trained it, those labelled two ways, and second copies.

    Codes are places in `classes`, the known ones unless told otherwise; the last code stands for every other label.
    """
    kept, left_out = _kept(view)
    classes = view.classes if classes is None else classes
    code_of = {label: code for code, label in enumerate(classes)}
    # A group of no name holds one image alone.
    names = [(view.groups[row], "" if view.groups[row] else view.digests[row]) for row in kept]
    unit_of = {name: unit for unit, name in enumerate(sorted(set(names)))}
    rows = np.array(kept, dtype=np.int64)
    codes = np.array([code_of.get(view.labels[row], len(classes)) for row in kept], dtype=np.int64)
    units = np.array([unit_of[name] for name in names], dtype=np.int64)
    order = np.lexsort((np.array([view.digests[row] for row in kept], dtype=str), units, codes))
    return Askable(rows[order], codes[order], units[order], left_out)


def labelled(view: View, which: Literal["all", "known", "unknown"]) -> Askable:
    """The askable items of all classes, of the known or of the unknown ones, each under its own label."""
    every = set(view.labels)
    classes = {"all": every, "known": every & set(view.classes), "unknown": every - set(view.classes)}[which]
    items = askable(view, sorted(classes))
    return items.where(items.codes < len(classes))


def _kept(view: View) -> tuple[list[int], dict[str, int]]:
    """Rows that stay, one a digest, and how many of the others went for which reason."""
    rows_of: dict[str, list[int]] = defaultdict(list)
    for row, digest in enumerate(view.digests):
        rows_of[digest].append(row)
    kept: list[int] = []
    left_out = {"seen": 0, "labelled_two_ways": 0, "copies": 0}
    for digest, rows in rows_of.items():
        if digest in view.seen_digests:
            left_out["seen"] += len(rows)
        elif len({view.labels[row] for row in rows}) > 1:
            left_out["labelled_two_ways"] += len(rows)
        else:
            kept.append(min(rows, key=lambda row: view.groups[row]))
            left_out["copies"] += len(rows) - 1
    return kept, left_out
