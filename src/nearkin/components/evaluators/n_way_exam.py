"""The n-way exam: one image, n choices of which one is of its class; is the nearest choice the right one?

Neither side of a question was trained on, copies of one image never meet, nor do query and right answer come
from one group. The interval resamples images (or groups) and draws the questions anew from them: a thousand
questions about forty images are forty images' worth of evidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from nearkin.components.evaluators.askable import Askable, askable
from nearkin.components.evaluators.intervals import measured
from nearkin.components.evaluators.options import NWayExamOptions
from nearkin.components.evaluators.pairwise import Pairwise
from nearkin.components.evaluators.questions import Pool, Questions, at_most, draw_questions, resamples_of
from nearkin.contracts import Figure, View

if TYPE_CHECKING:
    from nearkin.contracts import FloatArray


class NWayExam:
    """Asks `questions` questions of `n_way` choices; figure `exam_<n_way>_way`."""

    def __init__(self, options: NWayExamOptions) -> None:
        self.options = options

    def evaluate(self, view: View) -> Sequence[Figure]:
        """The share of right answers; t tied best choices with the right one among them count 1/t."""
        name = f"exam_{self.options.n_way}_way"
        items = exam_items(view, self.options.images)
        n_way, n_questions = self.options.n_way, self.options.questions
        details = {"questions": n_questions, "images": len(items), "left_out": items.left_out}
        missing = what_is_missing(view.classes, items, n_way)
        if missing:
            return [Figure(name, None, note=missing, details=details, better="higher", chance=1 / n_way)]
        pool = Pool.of(items, np.arange(len(items)))
        questions = draw_questions(pool, n_way=n_way, n_questions=n_questions, rng=_rng(view, 0))
        distances = Pairwise(view.embeddings[items.rows], view.index.metric).all()
        value = float(marks(distances, questions).mean())
        replicates = self._replicates(items, distances, _rng(view, 1))
        asked = len(np.unique(items.units[questions.queries]))
        note = f"{n_questions} questions about {asked} {items.resampled}, drawn anew from every resample of them."
        return [
            measured(
                name, value, replicates, items, n=asked, note=note, details=details, better="higher", chance=1 / n_way
            )
        ]

    def _replicates(
        self, items: Askable, distances: FloatArray, rng: np.random.Generator
    ) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """(resamples,) the score of the exam over resampled images, each with new questions."""
        n_way, n_questions = self.options.n_way, self.options.questions
        scores = np.empty(self.options.resamples)
        for i, weights in enumerate(resamples_of(items, self.options.resamples, rng, n_way=n_way)):
            pool = Pool.of(items, np.repeat(np.arange(len(items)), weights))
            questions = draw_questions(pool, n_way=n_way, n_questions=n_questions, rng=rng)
            scores[i] = marks(distances, questions).mean()
        return scores


def _rng(view: View, stream: int) -> np.random.Generator:
    """Draws of their own for questions and resamples: more of one leaves the other as it was."""
    return np.random.default_rng([view.seed, stream])


def exam_items(view: View, most: int) -> Askable:
    """The known classes' items that may be asked about, at most so many."""
    items = askable(view)
    return at_most(items.where(items.codes < len(view.classes)), most, _rng(view, 3))


def what_is_missing(classes: Sequence[str], items: Askable, n_way: int) -> str:
    """Why the exam cannot be held: every class without a right answer, or without enough wrong ones. Or nothing."""
    found: list[str] = []
    for code, label in enumerate(classes):
        own = items.where(items.codes == code)
        if own.n_units < 2:
            found.append(f"class {label!r} has usable test images of {own.n_units} {items.resampled}, 2 are needed")
        others = len(items) - len(own)
        if others < n_way - 1:
            found.append(f"class {label!r} has {others} usable images of other classes beside it, not {n_way - 1}")
    return f"No {n_way}-way question can be asked: {'; '.join(found)}." if found else ""


def marks(distances: FloatArray, questions: Questions) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """(q,) 1 where the right choice alone is nearest, 1/t where it ties with t - 1 others, else 0."""
    found = distances[questions.queries[:, None], questions.choices]
    nearest = found == found.min(axis=1, keepdims=True)
    scores: np.ndarray[tuple[int], np.dtype[np.float64]] = nearest[:, 0] / nearest.sum(axis=1)
    return scores
