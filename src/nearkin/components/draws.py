"""Draws without repeats, many at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from nearkin.contracts import IntArray


def draw_distinct(totals: IntArray, k: int, rng: np.random.Generator) -> IntArray:
    """(q,) totals -> (k, q): for each question k different numbers below its total, every set equally likely.

    Not every order: shuffle where places differ in meaning. Floyd's algorithm (Bentley & Floyd 1987, CACM 30:754),
    all questions at once: the i-th draw is below total - k + i + 1, and one drawn before is replaced by that bound's
    largest number, which cannot have been.
    """
    drawn = np.empty((k, len(totals)), dtype=np.int64)
    for i, uniform in enumerate(rng.random((k, len(totals)))):
        largest = totals - k + i
        number = (uniform * (largest + 1)).astype(np.int64)
        seen = (drawn[:i] == number).any(axis=0)
        drawn[i] = np.where(seen, largest, number)
    return drawn
