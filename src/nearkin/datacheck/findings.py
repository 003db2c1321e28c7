"""Findings: what the check says, how grave it is, and which images it is about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

Level: TypeAlias = Literal["note", "problem"]
"""A problem makes figures or labels wrong; a note is a fact to know."""


@dataclass(frozen=True)
class Finding:
    """One thing that was found."""

    level: Level
    what: str
    """A short name, the same in every report: `near_copies_across_splits`."""
    message: str
    """What, where, and the mend, in a sentence or two."""
    pairs: tuple[tuple[str, str], ...] = ()
    """Keys of images that belong together, the worst first."""
    keys: tuple[str, ...] = ()
    """Keys of images, where it is about single ones."""
    figures: Mapping[str, Any] = field(default_factory=dict)
    """Plain JSON."""
