"""Paired differences: two figures of the same questions and the same resamples, subtracted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nearkin.components.evaluators.intervals import wilson
from nearkin.contracts import Figure

VIEWS = ("model", "pixels", "untrained", "model - pixels", "model - untrained")
"""In which every figure is kept."""


def with_differences(figures: Mapping[str, Sequence[Figure]]) -> dict[str, list[dict[str, Any]]]:
    """Figures by view as plain JSON; then the model's less each baseline's."""
    plain = {view: [as_json(figure) for figure in found] for view, found in figures.items()}
    for view in figures:
        if view != "model":
            plain[f"model - {view}"] = differences(figures["model"], figures[view])
    return plain


def as_json(figure: Figure) -> dict[str, Any]:
    """A figure as it is kept; the replicates are left behind, their seed makes them again."""
    return {
        "name": figure.name,
        "value": figure.value,
        "low": figure.low,
        "high": figure.high,
        "n": figure.n,
        "resampled": figure.resampled,
        "note": figure.note,
        "details": dict(figure.details),
        "better": figure.better,
        "chance": figure.chance,
    }


def differences(model: Sequence[Figure], baseline: Sequence[Figure]) -> list[dict[str, Any]]:
    """The figures that both have with replicates, subtracted: same questions, same resamples."""
    others = {figure.name: figure for figure in baseline}
    pairs = [(figure, others[figure.name]) for figure in model if figure.name in others]
    return [difference(a, b) for a, b in pairs if paired(a, b)]


def paired(a: Figure, b: Figure) -> bool:
    """Whether both have replicates, and as many."""
    return 0 < len(a.replicates) == len(b.replicates)


def difference(a: Figure, b: Figure) -> dict[str, Any]:
    """a - b with its interval: the spread of the paired replicates around the difference itself.

    Never narrower than what n units without a single disagreement still allow (Wilson's bound on a share of 0), so
    that two views that agree on a few images are not said to agree for certain.
    """
    assert a.value is not None
    assert b.value is not None
    value = a.value - b.value
    replicates = np.subtract(a.replicates, b.replicates)
    low, high = np.percentile(replicates - replicates.mean(), [2.5, 97.5]) + value
    allowed = wilson(0, a.n)[1]
    low, high = min(low, value - allowed), max(high, value + allowed)
    note = "paired: the same questions and the same resamples of images"
    return as_json(Figure(a.name, value, float(low), float(high), a.n, a.resampled, note, better=a.better))
