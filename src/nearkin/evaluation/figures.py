"""What an evaluator's figures must be, before anyone reads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from nearkin.contracts import Figure
from nearkin.errors import listing

ROUNDING = 1e-9


def figures_problem(figures: Sequence[object]) -> str:
    """What is wrong with the figures of one view, or nothing; whether it is plain JSON shows in the writing."""
    if strange := [type(figure).__name__ for figure in figures if not isinstance(figure, Figure)]:
        return f"it gave {listing(dict.fromkeys(strange))} in place of Figures"
    named = [figure for figure in figures if isinstance(figure, Figure)]
    if twice := [name for name, n in Counter(figure.name for figure in named).items() if n > 1]:
        return f"it gave several figures one name: {listing(map(str, twice))}"
    return next((f"its figure {figure.name} {problem}" for figure in named if (problem := _problem(figure))), "")


def _problem(figure: Figure) -> str:
    value, low, high = figure.value, figure.low, figure.high
    if value is None:
        return "" if figure.note else "has no value and no note that says why"
    if (low is None) != (high is None):
        return f"has an interval with one end: {low} to {high}"
    if low is not None and high is not None and not low - ROUNDING <= value <= high + ROUNDING:
        return f"has the value {value} outside its interval, {low} to {high}"
    return ""
