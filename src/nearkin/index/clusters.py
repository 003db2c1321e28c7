"""Clusters: how near each is to a query, and which one the class rule names."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nearkin.contracts import ClassRule, FloatArray, IntArray, Metric, Neighbor
from nearkin.index.distances import distances, row_chunks
from nearkin.index.references import References
from nearkin.index.searcher import Searcher

FEW = 4096
"""Up to this many references all are looked at; beyond it, the search grows from here."""
HELD = 2**22
"""Distances held at a time: 16 MiB."""


@dataclass(frozen=True)
class Found:
    """What q queries found among c clusters."""

    nearest: FloatArray
    """(q, c) distance to each class's nearest reference."""
    kth: FloatArray
    """(q, c) distance to each class's k-th nearest; infinite where it holds fewer."""
    positions: IntArray
    """(q, m) the nearest references, nearest first."""
    distances: FloatArray
    """(q, m) how far they are."""


def look_up(searcher: Searcher, queries: FloatArray, *, k: int, neighbors: int = 1) -> Found:
    """Exact distances from (q, d) queries to every class, and their nearest references."""
    chunks = row_chunks(len(queries), len(searcher.references), HELD)
    parts = [_look_up(searcher, queries[rows], k, neighbors) for rows in chunks]
    return Found(*(np.concatenate([getattr(part, name) for part in parts]) for name in Found.__annotations__))


def _look_up(searcher: Searcher, queries: FloatArray, k: int, neighbors: int) -> Found:
    """Search further and further until every class has shown its k-th nearest, or all it has."""
    references = searcher.references
    n, ask = len(references), max(FEW, neighbors)
    while True:
        ask = ask if ask <= n // 8 else n  # beyond that, looking at everything is quicker
        positions, found = searcher.search(queries, ask)
        grid = _by_class(references, positions, found)
        kth = _kth(references, grid, k)
        if ask == n or np.isfinite(kth).all():
            break
        ask *= 4
    nearest = kth if k == 1 else _kth(references, grid, 1)
    kth = np.where(references.counts >= k, kth, np.float32(np.inf))
    return Found(nearest, kth, positions[:, :neighbors], found[:, :neighbors])


def _by_class(references: References, positions: IntArray, found: FloatArray) -> FloatArray:
    """(q, m) found distances -> (q, n), a column a reference, classes side by side; infinite where not found."""
    grid = np.full((len(positions), len(references)), np.inf, dtype=np.float32)
    grid[np.arange(len(positions))[:, None], references.columns[positions]] = found
    return grid


def _kth(references: References, grid: FloatArray, k: int) -> FloatArray:
    """(q, n), classes side by side -> (q, c): the k-th smallest of each class, the largest where it has fewer."""
    if k == 1:
        return np.minimum.reduceat(grid, references.starts, axis=1)
    ends = references.starts + references.counts
    return np.stack(
        [_kth_smallest(grid[:, start:end], k) for start, end in zip(references.starts, ends, strict=True)], axis=1
    )


def _kth_smallest(columns: FloatArray, k: int) -> FloatArray:
    place = min(k, columns.shape[1]) - 1
    kth: FloatArray = np.partition(columns, place, axis=1)[:, place]
    return kth


def name(rule: ClassRule, references: References, queries: FloatArray, nearest: FloatArray, metric: Metric) -> IntArray:
    """(q, d) queries, (q, c) nearest distances -> (q,) code of the class that the rule names. Ties: smallest label."""
    if rule == "prototype":
        return np.asarray(np.argmin(distances(queries, references.means, metric), axis=1))
    if rule == "attention":
        chunks = row_chunks(len(queries), len(references), HELD)
        return np.concatenate([np.argmax(attention(references, queries[rows]), axis=1) for rows in chunks])
    return np.asarray(np.argmin(nearest, axis=1))


def attention(references: References, queries: FloatArray) -> NDArray[np.float64]:
    """(q, d) -> (q, c): the share of a softmax over cosines to all references that falls on each class.

    Vinyals et al. 2016, Matching Networks, eq. 1.
    """
    cosines = 1 - distances(queries, references.vectors, "cosine").astype(np.float64)
    weights = np.exp(cosines)[:, references.by_class]
    ends = references.starts + references.counts
    columns = zip(references.starts, ends, strict=True)
    per_class = np.stack([weights[:, start:end].sum(axis=1) for start, end in columns], axis=1)
    shares: NDArray[np.float64] = per_class / per_class.sum(axis=1, keepdims=True)
    return shares


def neighbors(references: References, positions: IntArray, apart: FloatArray) -> list[tuple[Neighbor, ...]]:
    """(q, m) positions of references and their distances -> the references in full."""
    ids, labels, sources, groups = references.ids, references.labels, references.sources, references.groups
    return [
        tuple(
            Neighbor(int(ids[at]), labels[at], distance, sources[at], groups[at])
            for at, distance in zip(places, far, strict=True)
        )
        for places, far in zip(positions.tolist(), apart.tolist(), strict=True)
    ]
