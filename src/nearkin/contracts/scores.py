"""Outlier scores: how strange a query is for each class; larger is stranger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from nearkin.contracts.components import Build, Factory, refuse_without
from nearkin.contracts.types import FloatArray, IntArray, Options
from nearkin.errors import PluginError, blaming


class FittedScore(Protocol):
    """A score that knows its references."""

    def __call__(self, queries: FloatArray) -> FloatArray:
        """(q, d) -> (q, c) finite, larger is stranger: one column a class, in the order of its code.

        A query scores the same alone or among others, up to the last digits: p-values count who scores higher.
        """


class Score(Protocol):
    """Fitted on the references of an index; the conformal calibrator turns what it says into p-values.

    So only the order of its values within a class matters, and it promises nothing by itself.
    """

    @property
    def fewest(self) -> int:
        """References that a class must hold to be scored; one with fewer is uncalibrated."""

    @property
    def nearest(self) -> int | None:
        """k, where the score is the distance to the class's k-th nearest reference, in the metric of `build.metric`.

        The index then takes it from its engine's search instead of `fit`, which scales as the engine does; a class's
        calibration goes stale only with its own references; and references can calibrate themselves, each group
        against the others, because such a score only shrinks as references join. `None` for any other score.
        """

    def fit(self, vectors: FloatArray, codes: IntArray) -> FittedScore:
        """(n, d) references, (n,) their class codes 0..c-1, at least `fewest` of each -> their score."""


@dataclass(frozen=True)
class ScoreChoice:
    """An outlier score as a recipe or a caller names it."""

    type: str
    options: Options
    factory: Factory

    def make(self, build: Build) -> Score:
        """The score, for vectors compared by `build.metric`."""
        with blaming(f"the score {self.type}"):
            score: Score = self.factory(self.options, build)
        refuse_without(score, ("fewest", "nearest", "fit"), f"the score {self.type}")
        for name, value in (("fewest", score.fewest), *([] if score.nearest is None else [("nearest", score.nearest)])):
            if not hasattr(value, "__index__") or value < 1:  # numpy's whole numbers too
                raise PluginError(f"the score {self.type} has the {name} {value!r}, which is no whole number above 0.")
        return score
