"""The n-way exam: one image, n choices of which one is of its class; is the nearest choice the right one?

Neither side of a question was trained on, copies of one image never meet, nor do query and right answer come
from one group. The interval resamples images (or groups) and draws the questions anew from them: a thousand
questions about forty images are forty images' worth of evidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from nearkin.components.draws import draw_distinct
from nearkin.components.evaluators.askable import Askable, askable
from nearkin.components.evaluators.intervals import measured, resample
from nearkin.components.evaluators.options import NWayExamOptions
from nearkin.components.evaluators.pairwise import Pairwise
from nearkin.contracts import Figure, View

if TYPE_CHECKING:
    from nearkin.contracts import FloatArray, IntArray


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
        for i, weights in enumerate(exam_resamples(items, n_way, self.options.resamples, rng)):
            pool = Pool.of(items, np.repeat(np.arange(len(items)), weights))
            questions = draw_questions(pool, n_way=n_way, n_questions=n_questions, rng=rng)
            scores[i] = marks(distances, questions).mean()
        return scores


def _rng(view: View, stream: int) -> np.random.Generator:
    """Draws of their own for questions and resamples: more of one leaves the other as it was."""
    return np.random.default_rng([view.seed, stream])


def exam_items(view: View, most: int) -> Askable:
    """The known classes' items that may be asked about; of more than `most`, an equal quota a class by seed."""
    items = askable(view)
    known = items.where(items.codes < len(view.classes))
    if len(known) <= most:
        return known
    quota = max(2, most // len(view.classes))
    order = _rng(view, 3).permutation(len(known))
    chosen = [order[known.codes[order] == code][:quota] for code in range(len(view.classes))]
    drawn = known.where(np.sort(np.concatenate(chosen)))
    return replace(drawn, left_out={**known.left_out, "over_quota": len(known) - len(drawn)})


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


def exam_resamples(items: Askable, n_way: int, resamples: int, rng: np.random.Generator) -> IntArray:
    """(resamples, n) how often each item was drawn, every class still able to ask: see `what_is_missing`.

    Groups differ in size, so that a draw of groups can hold too few images; it is drawn again.
    """
    weights = resample(items, resamples, rng, distinct=2)
    own = items.codes[:, None] == np.arange(items.codes.max() + 1)  # (n, c)
    while (short := _fewest_distractors(weights, own) < n_way - 1).any():
        weights[short] = resample(items, int(short.sum()), rng, distinct=2)
    return weights


def _fewest_distractors(weights: IntArray, own: np.ndarray[tuple[int, int], np.dtype[np.bool_]]) -> IntArray:
    """(resamples, n), (n, c) -> (resamples,) images outside the class that has fewest of them."""
    fewest: IntArray = weights.sum(axis=1) - (weights @ own).max(axis=1)
    return fewest


@dataclass(frozen=True)
class Pool:
    """Slots to draw from, sorted by class and unit, so that a class's or unit's slots lie side by side.

    A resample has several slots for an image drawn several times; they share its unit.
    """

    items: IntArray
    """(m,) the item in each slot."""
    class_starts: IntArray
    """(c,) first slot of each class."""
    class_sizes: IntArray
    """(c,) slots of each class."""
    unit_starts: IntArray
    """(m,) first slot of the slot's own unit in its class."""
    unit_sizes: IntArray
    """(m,) slots of that unit in its class."""

    @classmethod
    def of(cls, items: Askable, slots: IntArray) -> Pool:
        """The pool of (m,) item positions, sorted."""
        sizes = np.bincount(items.codes[slots])
        codes, units = items.codes[slots], items.units[slots]
        begins = np.r_[True, (codes[1:] != codes[:-1]) | (units[1:] != units[:-1])]
        block, starts = np.cumsum(begins) - 1, np.flatnonzero(begins)
        lengths = np.diff(np.r_[starts, len(slots)])
        return cls(slots, np.cumsum(sizes) - sizes, sizes, starts[block], lengths[block])


@dataclass(frozen=True)
class Questions:
    """Drawn questions, as item positions."""

    queries: IntArray
    """(q,) the image shown."""
    choices: IntArray
    """(q, n_way) the first is of the query's class, the others are not. Ranking ignores the order."""


def draw_questions(pool: Pool, *, n_way: int, n_questions: int, rng: np.random.Generator) -> Questions:
    """Questions that ask about each class in turn. Draws depend on classes and units alone, never on embeddings."""
    classes = np.arange(n_questions) % len(pool.class_sizes)
    start, size = pool.class_starts[classes], pool.class_sizes[classes]
    query = start + rng.integers(size)
    unit_start, unit_size = pool.unit_starts[query], pool.unit_sizes[query]
    positive = step_over(start + rng.integers(size - unit_size), unit_start, unit_size)
    others = draw_distinct(len(pool.items) - size, n_way - 1, rng)
    distractors = step_over(others, start, size)
    return Questions(pool.items[query], pool.items[np.vstack([positive, distractors])].T)


def step_over(numbers: IntArray, start: IntArray, length: IntArray) -> IntArray:
    """Slot numbers counted without the `length` slots from `start` on -> slot numbers among all."""
    stepped: IntArray = numbers + length * (numbers >= start)
    return stepped


def marks(distances: FloatArray, questions: Questions) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """(q,) 1 where the right choice alone is nearest, 1/t where it ties with t - 1 others, else 0."""
    found = distances[questions.queries[:, None], questions.choices]
    nearest = found == found.min(axis=1, keepdims=True)
    scores: np.ndarray[tuple[int], np.dtype[np.float64]] = nearest[:, 0] / nearest.sum(axis=1)
    return scores
