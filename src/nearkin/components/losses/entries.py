"""What is known of one part of pytorch-metric-learning: the library's facts, and our words for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from nearkin.contracts import StructureKind

PartKind: TypeAlias = Literal["distance", "reducer", "regularizer", "miner"]
Given: TypeAlias = Literal["classes", "embedding_dim", "centers"]
"""What the surroundings give: how many classes, dims, or centres a class of the loss that a regularizer is in."""


class Required:
    """The default of an argument that has none."""

    def __repr__(self) -> str:
        return "REQUIRED"


REQUIRED = Required()


@dataclass(frozen=True)
class Slot:
    """A place in a part where another part goes."""

    kind: PartKind
    accepts: Mapping[str, tuple[str, ...] | None]
    """Recipe name of each part that works there -> its arguments that may be set there; `None` for all."""
    default: Mapping[str, Any] | None = None
    """The library's own choice, every argument filled in; `None` for none."""


@dataclass(frozen=True)
class Entry:
    """Facts of one class of the library, found by trying it out."""

    library: str
    """The name of its class."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Its own arguments and their defaults."""
    given: Mapping[str, Given] = field(default_factory=dict)
    """Arguments that the surroundings decide."""
    slots: Mapping[str, Slot] = field(default_factory=dict)
    """Arguments that are parts."""
    takes: tuple[StructureKind, ...] = ()
    """Losses: the structures that it uses as they are given, every pair or triplet of them and nothing else."""
    mines: bool = False
    """Losses: whether a miner's choice has an effect."""
    memory: bool = False
    """Losses: whether cross-batch memory works with it."""
    learns: bool = False
    """Losses: whether it has weights of its own."""


@dataclass(frozen=True)
class Note:
    """What we say of a part: names, meaning, and limits that the library does not check."""

    library: str
    summary: str
    arguments: Mapping[str, tuple[Any, str]] = field(default_factory=dict)
    """Argument -> its type in a recipe, and what it means."""
