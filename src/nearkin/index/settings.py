"""What an index is made with: metric, class rule, dimensions, outlier score, alpha and other operating points."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

import numpy as np

from nearkin.contracts import Build, ClassRule, Metric, Score, ScoreChoice
from nearkin.errors import IndexCallError, did_you_mean, listing
from nearkin.index.inputs import Given, count_problem, refuse, vector_problems
from nearkin.index.scores import built_in, score_choice
from nearkin.index.space import Space

ScoreFor = Callable[[str, Mapping[str, Any]], ScoreChoice]
"""A score's type and options as saved -> the score, a plugin's too."""


@dataclass(frozen=True)
class Settings:
    """Checked when made: `IndexCallError` names all that cannot be meant."""

    metric: Metric
    class_rule: ClassRule
    dim: int
    alpha: float
    score: ScoreChoice = field(default_factory=lambda: score_choice("knn"))
    operating_points: Mapping[str, float] = field(default_factory=dict)
    """Other alphas by name: `{"triage": 0.10, "screening": 0.05}`."""
    space: Space | None = None
    """Where the outlier score looks; `None` for the embedding itself."""

    def __post_init__(self) -> None:
        attends_by_cosine = self.class_rule != "attention" or self.metric == "cosine"
        mismatch = f"class_rule 'attention' compares by cosine, not {self.metric!r}. Use metric='cosine'."
        refuse(
            [
                _choice_problem("metric", self.metric, get_args(Metric)),
                _choice_problem("class_rule", self.class_rule, get_args(ClassRule)),
                "" if attends_by_cosine else mismatch,
                count_problem("dim", self.dim),
                alpha_problem(self.alpha),
                *self._point_problems(),
                "" if self.space is None or isinstance(self.space, Space) else f"space {self.space!r}: give a Space.",
            ]
        )

    def _point_problems(self) -> list[str]:
        if not isinstance(self.operating_points, Mapping):
            return [f"operating_points {self.operating_points!r}: give alphas by name, such as {{'triage': 0.10}}."]
        points = self.operating_points.items()
        wrong = [
            f"operating_points: {name!r} is no name." for name, _ in points if not isinstance(name, str) or not name
        ]
        told = [f"operating_points: {name}: {problem}" for name, a in points if (problem := alpha_problem(a))]
        return wrong + told

    def level(self, alpha: float | str | None) -> float:
        """The alpha that is meant: a number, an operating point's name, or none for the index's own."""
        if alpha is None:
            return self.alpha
        if isinstance(alpha, str) and alpha in self.operating_points:
            return float(self.operating_points[alpha])
        if isinstance(alpha, str):
            named = ", ".join(f"{name} ({point:g})" for name, point in self.operating_points.items())
            raise IndexCallError(
                f"alpha {alpha!r}: no operating point has that name.{did_you_mean(alpha, self.operating_points)} "
                f"There are {named or 'none'}."
            )
        refuse([alpha_problem(alpha)])
        return float(alpha)

    def problems(self, given: Given) -> list[str]:
        """What is wrong with embeddings, and with their place in the outlier score's space."""
        apart = self.space.problems(given.space, len(given)) if self.space else []
        return vector_problems(given.vectors, self.dim, self.metric) + apart

    @property
    def space_dim(self) -> int | None:
        """Of the outlier score's own space, where it has one."""
        return self.space.dim if self.space else None

    @property
    def said_score(self) -> str:
        """The score, its options and its space, as a reason says them: `knn (k 1)`."""
        options = self.score.options.model_dump(mode="json")
        said = ", ".join(f"{name} {value}" for name, value in options.items())
        where = f" in the space of {self.space.said}" if self.space else ""
        return (f"{self.score.type} ({said})" if said else self.score.type) + where

    def made_score(self) -> Score:
        """The score, for the metric and the dimensions that it looks at."""
        dim, metric = (self.space.dim, self.space.metric) if self.space else (self.dim, self.metric)
        return self.score.make(Build(seed=0, embedding_dim=dim, metric=metric))

    def written(self) -> dict[str, Any]:
        """As plain data."""
        score = {"type": self.score.type, "options": self.score.options.model_dump(mode="json", by_alias=True)}
        points = dict(self.operating_points)
        space = {"space": self.space.written()} if self.space else {}
        return {**{name: getattr(self, name) for name in PLAIN}, "score": score, "operating_points": points, **space}

    @classmethod
    def read(cls, said: Mapping[str, Any], score_for: ScoreFor = built_in) -> Settings:
        """What `written` gave. The first indexes had a k in the place of a score, and no operating points."""
        score = said.get("score") or {"type": "knn", "options": {"k": said["k"]}}
        strange = sorted({*said} - {*PLAIN, "score", "k", "operating_points", "space"})
        if strange:
            raise ValueError(f"no index is made with {listing(strange)}.")
        chosen = score_for(score["type"], score["options"])
        plain = {name: said[name] for name in PLAIN}
        space = Space.read(said["space"]) if said.get("space") else None
        return cls(**plain, score=chosen, operating_points=said.get("operating_points", {}), space=space)


PLAIN = ("metric", "class_rule", "dim", "alpha")


def alpha_problem(alpha: Any) -> str:
    """What is wrong with an alpha, or nothing."""
    is_number = isinstance(alpha, (float, np.floating))
    return "" if is_number and 0 < alpha < 1 else f"alpha {alpha!r}: it is a share above 0 and below 1, such as 0.10."


def _choice_problem(name: str, value: Any, choices: tuple[str, ...]) -> str:
    return "" if value in choices else f"{name} {value!r}: it is one of {', '.join(choices)}."
