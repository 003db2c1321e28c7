"""Answers: what the index says of one image, and what stands behind it."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

from nearkin.contracts.types import Status
from nearkin.errors import listing

Way: TypeAlias = Literal["held_out", "leave_one_group_out", "cross_conformal"]
"""On images kept apart; on the references themselves, each group against the others; by K models, each on its fold."""


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
    """What stands behind an answer's status. As text: one plain sentence."""

    alpha: float
    """At most this share of each calibrated class's images is flagged unknown, on average over draws; see `worst`."""
    way: Way | None
    """How the scores were calibrated; `None` where nothing is."""
    groups: Mapping[str, int]
    """Calibration groups a class."""
    uncalibrated: Mapping[str, str]
    """Classes that promise nothing, each with the reason (too few, stale, none given)."""
    stale: tuple[str, ...] = ()
    """Those of them whose calibration is older than their references; `recalibrate()` makes it fresh."""
    left_out: tuple[str, ...] = ()
    """Classes that the question was not about (`where=`): nothing is said of them."""
    folds: int = 0
    """Of a cross-conformal calibration; 0 for the other ways."""
    worst: float | None = None
    """Cross-conformal: what the share is at most, about 2 alpha and a small-sample term; `alpha` is what it is near."""

    def __str__(self) -> str:
        if self.way is None:
            return "Nothing is promised: no class is calibrated."
        kept = [f"{name!r} ({n} groups)" for name, n in self.groups.items() if name not in self.uncalibrated]
        bare = f"; nothing is promised for {listing(map(repr, self.uncalibrated))}" if self.uncalibrated else ""
        left = f"; not asked about: {listing(map(repr, self.left_out))}" if self.left_out else ""
        how, most = self.way.replace("_", "-"), f"at most {self.alpha:.6g}"
        if self.worst is not None:
            most = f"about {self.alpha:.6g}, and at most {self.worst:.3g} in the worst case,"
            how += f" over {self.folds} folds, so at worst 2 alpha and a small-sample term"
        return (
            f"On average over draws, {most} of the images of {listing(kept)} are flagged unknown "
            f"(calibrated {how}){bare}{left}."
        )


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
    bounds: Set[str] = frozenset()
    """Classes of which fewer references than their score takes are among the neighbours that were looked at:
    `distances` holds what theirs is at least, `p_values` what theirs is at most. The search went on until that was
    enough to decide."""
    score: float | None = None
    """The outlier score for the class that it is least strange for, by which images rank from plain to strange; `None`
    where no class has the references to be scored. With `knn` and k = 1 the distance to the nearest reference of all,
    in the score's space."""

    def as_dict(self) -> dict[str, Any]:
        """Plain data, as JSON takes it."""
        return {**asdict(self), "bounds": sorted(self.bounds)}
