"""Means over repeated trainings, with an interval over what was drawn independently."""

from __future__ import annotations

import math
import statistics
from collections.abc import Hashable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Mean:
    """A mean over independent draws, its 95% interval, and the worst and best draw."""

    value: float
    low: float
    high: float
    least: float
    most: float
    draws: int

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def mean_over(values: Sequence[float], draws: Sequence[Hashable]) -> Mean:
    """The mean of values that belong to draws (same length): averaged within a draw first, since a draw's seeds agree.

    Student's t interval over the draws' means; infinite where there is one draw.
    """
    from scipy.stats import t

    if len(values) != len(draws) or not values:
        raise ValueError(f"{len(values)} values for {len(draws)} draws")
    by_draw: dict[Hashable, list[float]] = {}
    for value, draw in zip(values, draws, strict=True):
        by_draw.setdefault(draw, []).append(value)
    means = [statistics.fmean(members) for members in by_draw.values()]
    value, n = statistics.fmean(means), len(means)
    half = float(t.ppf(0.975, n - 1)) * statistics.stdev(means) / math.sqrt(n) if n > 1 else math.inf
    return Mean(value, value - half, value + half, min(means), max(means), n)
