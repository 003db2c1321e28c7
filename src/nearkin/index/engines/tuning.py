"""Effort: how much an approximate search must look at, found out on references whose neighbours are known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nearkin.contracts import FloatArray, IntArray, Metric
from nearkin.index.distances import distances_of_pairs
from nearkin.index.engines.flat import FlatEngine, prepared
from nearkin.index.engines.raw import search

if TYPE_CHECKING:
    from nearkin.index.engines.approximate import Maker

ASKED = 256
NEAREST = 10
SURE = 2.0
"""Standard errors that the recall must lie above what is asked for."""
BISECTIONS = 3


def tuned(maker: Maker, index: Any, ids: IntArray, vectors: FloatArray) -> float:
    """Set the least effort that finds enough; what it finds, of the nearest ten of references but for themselves."""
    rng = np.random.default_rng(maker.options.seed)
    rows = np.sort(rng.choice(len(ids), min(ASKED, len(ids)), replace=False))
    queries = vectors[rows]
    k = min(NEAREST + 1, len(ids))
    true = FlatEngine(maker.metric, np.arange(len(ids)), vectors).search(queries, k).ids.reshape(len(rows), k)

    def enough(effort: int) -> tuple[bool, float]:
        found = _recall(_found(maker, index, vectors, queries, k, effort), true, rows)
        error = found.std() / np.sqrt(len(found))
        return bool(found.mean() - SURE * error >= maker.options.recall), float(found.mean())

    most = maker.most_effort(index)
    effort, short = 1, 0
    while not enough(effort)[0] and effort < most:
        short, effort = effort, min(2 * effort, most)
    for _ in range(BISECTIONS):
        middle = (short + effort + 1) // 2
        if short + 1 < effort and middle < effort:
            short, effort = (short, middle) if enough(middle)[0] else (middle, effort)
    maker.set_effort(index, effort)
    return enough(effort)[1]


def _found(maker: Maker, index: Any, vectors: FloatArray, queries: FloatArray, k: int, effort: int) -> IntArray:
    """(q, k) rows, -1 where it found no more; after measuring again, where the maker does."""
    params = maker.params(index, None, effort)
    ask = min(k * maker.refined, len(vectors))
    _, rows = search(index, prepared(queries, maker.metric), ask, params)
    return measured(queries, vectors[rows], rows, k, maker.metric)[1] if maker.refined > 1 else np.asarray(rows)


def measured(
    queries: FloatArray, candidates: FloatArray, rows: IntArray, k: int, metric: Metric
) -> tuple[FloatArray, IntArray]:
    """(q, d), (q, m, d) and their (q, m) row numbers, -1 for none -> (q, k) distances and rows, nearest first."""
    q, m, dim = candidates.shape
    each = np.repeat(np.arange(q), m), candidates.reshape(-1, dim), np.arange(q * m)
    apart = distances_of_pairs(queries, *each, metric).reshape(q, m)
    apart[rows < 0] = np.inf
    nearest = np.argsort(apart, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(apart, nearest, axis=1), np.take_along_axis(rows, nearest, axis=1)


def _recall(found: IntArray, true: IntArray, rows: IntArray) -> NDArray[np.float64]:
    """(q,) the share of the true neighbours, but for the query itself, that was found."""
    others = true != rows[:, None]
    there = (found[:, None, :] == true[:, :, None]).any(axis=2) & others
    shares: NDArray[np.float64] = there.sum(axis=1) / np.maximum(others.sum(axis=1), 1)
    return shares
