"""The load of answers: how many were known, and how many a person has to look at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from nearkin.contracts import Answer


@dataclass(frozen=True)
class ReviewLoad:
    """What became of some queries. All but the known ones are looked at by a person."""

    NAMES: ClassVar[tuple[str, ...]] = ("known", "ambiguous", "unknown", "undecided")
    known: int
    ambiguous: int
    unknown: int
    undecided: int
    """Status `None`: the nearest class is uncalibrated."""

    @classmethod
    def of(cls, answers: Iterable[Answer]) -> ReviewLoad:
        """Counted."""
        counts: Counter[str] = Counter(answer.status or "undecided" for answer in answers)
        return cls(*(counts[name] for name in cls.NAMES))

    @classmethod
    def none(cls) -> ReviewLoad:
        """Nothing asked yet."""
        return cls(0, 0, 0, 0)

    def __add__(self, other: ReviewLoad) -> ReviewLoad:
        return ReviewLoad(*(getattr(self, name) + getattr(other, name) for name in self.NAMES))

    @property
    def counts(self) -> dict[str, int]:
        """By status."""
        return {name: getattr(self, name) for name in self.NAMES}

    @property
    def asked(self) -> int:
        """How many there were."""
        return sum(self.counts.values())

    @property
    def share(self) -> float:
        """The share that a person looks at; 0 where nothing was asked."""
        return 1 - self.known / self.asked if self.asked else 0.0

    @property
    def flagged(self) -> float:
        """The share flagged unknown; 0 where nothing was asked."""
        return self.unknown / self.asked if self.asked else 0.0
