"""What each neighbour is worth to a query: how its scores change when that neighbour is taken away.

So the interval of a retrieval figure knows that an image is a question once and an answer to many others. Images are
taken away one at a time, the class's size R kept, which is what a resample does to it: Efron & Stein 1981, "The
jackknife estimate of variance". Ties have the order in which they were found here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from nearkin.components.evaluators.ranking import Ranking, Scores

if TYPE_CHECKING:
    from nearkin.contracts import IntArray


def changes(ranking: Ranking, ks: Sequence[int]) -> dict[str, Scores]:
    """Of each score: (q, k) its change when the neighbour at each rank goes and all behind it move up."""
    hits, relevant = ranking.hits.astype(np.float64), ranking.gallery.relevant
    return {
        "precision_at_1": of_recall(hits, 1),
        "r_precision": of_r_precision(hits, relevant),
        "map_at_r": of_map_at_r(hits, relevant),
        **{f"recall_at_{k}": of_recall(hits, k) for k in ks},
    }


def of_recall(hits: Scores, k: int) -> Scores:
    """(q, k') of `recall_at(k)`: the next one behind k may make up for the loss."""
    first, behind = hits[:, :k], at_rank(hits, np.full(len(hits), k + 1))
    only = first.sum(axis=1, keepdims=True) <= first
    change = np.zeros_like(hits)
    change[:, :k] = np.where(only, behind[:, None] - first, 0.0)
    return change


def of_r_precision(hits: Scores, relevant: IntArray) -> Scores:
    """(q, k') of `r_precision`."""
    behind = at_rank(hits, relevant + 1)[:, None]
    return within(behind - hits, relevant) / relevant[:, None]


def of_map_at_r(hits: Scores, relevant: IntArray) -> Scores:
    """(q, k') of `map_at_r`: those behind the lost one stand a rank higher, with one hit less if it was one."""
    ranks = np.arange(1, hits.shape[1] + 1)
    so_far = np.cumsum(hits, axis=1)
    own = within(hits * so_far / ranks, relevant)
    higher = np.r_[0.0, 1 / ranks[:-1]]  # 1 / (rank - 1); nothing stands behind itself at rank 1
    one_up = behind_each(within(hits * so_far * (higher - 1 / ranks), relevant))
    one_less = behind_each(within(hits * higher, relevant))
    last = at_rank(hits, relevant + 1) / relevant
    joins = last[:, None] * (at_rank(so_far, relevant + 1)[:, None] - hits)
    return within(one_up - own - hits * one_less + joins, relevant) / relevant[:, None]


def within(values: Scores, relevant: IntArray) -> Scores:
    """(q, k') values, 0 beyond rank R."""
    kept: Scores = np.where(np.arange(values.shape[1]) < relevant[:, None], values, 0.0)
    return kept


def behind_each(values: Scores) -> Scores:
    """(q, k') -> (q, k') the sum of all that stand behind each."""
    sums: Scores = values.sum(axis=1, keepdims=True) - np.cumsum(values, axis=1)
    return sums


def at_rank(values: Scores, ranks: IntArray) -> Scores:
    """(q, k'), (q,) ranks from 1 -> (q,) the value there, 0 where the list ends before."""
    places = np.minimum(ranks, values.shape[1]) - 1
    found: Scores = np.where(ranks <= values.shape[1], values[np.arange(len(values)), places], 0.0)
    return found
