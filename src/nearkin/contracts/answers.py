"""Answers: what the index says of one image, and what stands behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from nearkin.contracts.types import Status


@dataclass(frozen=True)
class Neighbor:
    """One reference near a query."""

    id: int
    label: str
    distance: float
    source: str
    group: str


@dataclass(frozen=True)
class Promise:
    """What stands behind an answer's status."""

    alpha: float
    """At most this share of each calibrated class's images is flagged unknown, on average over draws."""
    way: Literal["held-out"] | None
    """How the scores were calibrated; `None` where nothing is."""
    groups: Mapping[str, int]
    """Calibration groups a class."""
    uncalibrated: Mapping[str, str]
    """Classes that promise nothing, each with the reason (too few, stale, none given)."""


@dataclass(frozen=True)
class Answer:
    """What the index says of one image."""

    status: Status | None
    """`None` where nothing is calibrated for the class that is nearest."""
    label: str
    """The nearest cluster by the method's class rule, whatever the status."""
    distance: float
    """To that cluster's nearest reference, in the index's metric."""
    distances: Mapping[str, float]
    """Per class: to its nearest reference."""
    p_values: Mapping[str, float]
    """Per calibrated class: the conformal p-value of belonging to it."""
    neighbors: tuple[Neighbor, ...]
    """Nearest first."""
    reason: str
    """One plain sentence."""
    promise: Promise
