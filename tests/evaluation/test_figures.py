"""An evaluator's figures are told apart by name, and hold their value or say why they have none."""

from __future__ import annotations

from typing import Any

import pytest

from nearkin.contracts import Figure
from nearkin.evaluation.figures import figures_problem


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        ([0.5], "it gave float in place of Figures"),
        ([Figure("a", 0.5), Figure("a", 0.6)], "it gave several figures one name: a"),
        ([Figure("a", None)], "its figure a has no value and no note that says why"),
        ([Figure("a", 0.5, low=0.4)], "its figure a has an interval with one end: 0.4 to None"),
        ([Figure("a", 0.5, low=0.6, high=0.7)], "its figure a has the value 0.5 outside its interval, 0.6 to 0.7"),
        ([Figure("a", 0.5, low=0.6, high=0.4)], "outside its interval"),
        ([Figure("a", 0.5, low=0.5, high=0.5), Figure("b", None, note="No images."), Figure("c", 1)], ""),
    ],
)
def test_what_is_wrong_with_figures_is_said(figures: list[Any], said: str) -> None:
    assert said in figures_problem(figures) if said else not figures_problem(figures)
