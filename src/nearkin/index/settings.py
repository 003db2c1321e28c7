"""What an index is made with: metric, class rule, dimensions, alpha and k."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from nearkin.contracts import ClassRule, Metric
from nearkin.index.inputs import refuse


@dataclass(frozen=True)
class Settings:
    """Checked when made: `IndexCallError` names all that cannot be meant."""

    metric: Metric
    class_rule: ClassRule
    dim: int
    alpha: float
    k: int
    """A class's score is the distance to its k-th nearest reference."""

    def __post_init__(self) -> None:
        attends_by_cosine = self.class_rule != "attention" or self.metric == "cosine"
        mismatch = f"class_rule 'attention' compares by cosine, not {self.metric!r}. Use metric='cosine'."
        refuse(
            [
                _choice_problem("metric", self.metric, get_args(Metric)),
                _choice_problem("class_rule", self.class_rule, get_args(ClassRule)),
                "" if attends_by_cosine else mismatch,
                count_problem("dim", self.dim),
                count_problem("k", self.k),
                alpha_problem(self.alpha),
            ]
        )


def alpha_problem(alpha: Any) -> str:
    """What is wrong with an alpha, or nothing."""
    is_number = isinstance(alpha, (float, np.floating))
    return "" if is_number and 0 < alpha < 1 else f"alpha {alpha!r}: it is a share above 0 and below 1, such as 0.10."


def count_problem(name: str, value: Any) -> str:
    """What is wrong with a count, or nothing."""
    is_whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    return "" if is_whole and value >= 1 else f"{name} {value!r}: it is a whole number from 1."


def _choice_problem(name: str, value: Any, choices: tuple[str, ...]) -> str:
    return "" if value in choices else f"{name} {value!r}: it is one of {', '.join(choices)}."
