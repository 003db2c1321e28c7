"""Questions about images: one image, one other of its class, some of other classes; drawn by class and unit alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from nearkin.components.draws import draw_distinct
from nearkin.components.evaluators.askable import Askable
from nearkin.components.evaluators.intervals import resample

if TYPE_CHECKING:
    from nearkin.contracts import IntArray


def at_most(items: Askable, most: int, rng: np.random.Generator) -> Askable:
    """The items; of more than `most`, an equal quota a class, drawn: of each unit one before a second of any."""
    if len(items) <= most:
        return items
    codes = np.unique(items.codes)
    quota = max(2, most // len(codes))
    order = rng.permutation(len(items))
    order = order[np.argsort(_turn(items, order), kind="stable")]
    chosen = [order[items.codes[order] == code][:quota] for code in codes]
    drawn = items.where(np.sort(np.concatenate(chosen)))
    return replace(drawn, left_out={**items.left_out, "over_quota": len(items) - len(drawn)})


def _turn(items: Askable, order: IntArray) -> IntArray:
    """(n,) positions of items -> (n,) how many of the same class and unit come before each."""
    before: Counter[tuple[int, int]] = Counter()
    turn = []
    for own in zip(items.codes[order].tolist(), items.units[order].tolist(), strict=True):
        turn.append(before[own])
        before[own] += 1
    return np.array(turn)


def resamples_of(items: Askable, resamples: int, rng: np.random.Generator, *, n_way: int) -> IntArray:
    """(resamples, n) how often each item was drawn; every class can still ask a question of `n_way` choices.

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
