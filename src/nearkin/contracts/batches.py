"""Batches: unique items, and a structure over their positions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from nearkin.contracts.types import IntArray


class Pairs(NamedTuple):
    """Positions in a batch: `(a1[i], p[i])` are of one class, `(a2[j], n[j])` are not.

    The order of pytorch-metric-learning's indices_tuple.
    """

    a1: Any
    p: Any
    a2: Any
    n: Any


class Triplets(NamedTuple):
    """Positions in a batch: anchor, positive (same class), negative (another class)."""

    a: Any
    p: Any
    n: Any


class Episode(NamedTuple):
    """Positions in a batch: the labelled support and the queries to classify; disjoint."""

    support: Any
    query: Any


Structure: TypeAlias = Pairs | Triplets | Episode | None
"""`None`: labels alone."""


@dataclass(frozen=True)
class Batch:
    """Unique training items, and a structure over their positions 0..m-1 in this batch: each is embedded once."""

    items: IntArray
    """(m,) positions in the training set, no repeats."""
    structure: Structure = None
