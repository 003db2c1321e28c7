"""Hits put together: of several engines for the same queries, or of one engine for queries that were short of some."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nearkin.contracts import FloatArray, Hits, IntArray


def none_for(n_queries: int) -> Hits:
    """Nothing for any query, and nothing left out."""
    nothing, counts = np.zeros(0, dtype=np.int64), np.zeros(n_queries, dtype=np.int64)
    return Hits(nothing, np.zeros(0, dtype=np.float32), counts, np.full(n_queries, np.inf, dtype=np.float32))


def cut(distances: FloatArray, ids: IntArray, keep: NDArray[np.bool_]) -> Hits:
    """(q, k) of each -> hits, for the queries to keep alone."""
    counts = np.where(keep, ids.shape[1], 0).astype(np.int64)
    floor = np.zeros(len(ids), dtype=np.float32)
    return Hits(ids[keep].ravel(), distances[keep].ravel(), counts, floor)


def grown(hits: Hits, rows: IntArray, more: Hits) -> Hits:
    """Hits that have none for the queries at `rows`, with `more` for those."""
    counts = hits.counts.copy()
    counts[rows] = more.counts
    order = np.argsort(np.concatenate([_queries(hits), rows[_queries(more)]]), kind="stable")
    together = Hits(
        np.concatenate([hits.ids, more.ids]), np.concatenate([hits.distances, more.distances]), counts, hits.floor
    )
    return replace(together, ids=together.ids[order], distances=together.distances[order])


def merged(parts: Sequence[Hits], n_queries: int, k: int) -> Hits:
    """The k nearest of each query among the hits of several engines that share no id."""
    some = [part for part in parts if len(part.ids)]
    if len(some) <= 1:
        return some[0] if some else none_for(n_queries)
    queries = np.concatenate([_queries(part) for part in some])
    apart = np.concatenate([part.distances for part in some])
    order = np.lexsort((apart, queries))
    queries = queries[order]
    counts = np.bincount(queries, minlength=n_queries).astype(np.int64)
    place = np.arange(len(queries)) - (np.cumsum(counts) - counts)[queries]
    nearest = order[place < k]
    ids = np.concatenate([part.ids for part in some])
    floor = np.minimum.reduce([part.floor for part in some])
    return Hits(ids[nearest], apart[nearest], np.minimum(counts, k), floor)


def _queries(hits: Hits) -> IntArray:
    """(t,) which query each hit is for."""
    return np.repeat(np.arange(len(hits.counts)), hits.counts)
