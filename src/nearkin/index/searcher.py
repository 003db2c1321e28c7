"""The store searched: an engine proposes candidates, distances computed from the store itself decide."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nearkin.contracts import Engine, FloatArray, Hits, IntArray, Metric
from nearkin.index.distances import HELD, distances, distances_to_each, row_chunks
from nearkin.index.references import References

SPARE = 32
"""Candidates asked for beyond k, so that an engine's rounding seldom makes a second search necessary."""
LOOKED_AT = 2**18
"""Up to so many numbers (references times dimensions) every reference is measured: no engine is quicker."""


@dataclass(frozen=True)
class Candidates:
    """What an engine proposed for q queries, measured: nearest first, ties in the order of ids."""

    positions: IntArray
    """(q, m) in the store."""
    distances: FloatArray
    """(q, m) infinite where the engine proposed fewer."""
    floor: FloatArray
    """(q,) no other reference is nearer than this; 0 where the engine cannot say."""


@dataclass(frozen=True)
class Searcher:
    """One state of the references and the engine that holds it.

    With an exact engine what it finds is exact, ties in the order of ids, whatever the engine rounds.
    """

    references: References
    engine: Engine
    metric: Metric

    @property
    def looks_at_all(self) -> bool:
        """Whether there are so few that every one is measured."""
        return self.references.vectors.size <= LOOKED_AT and self.engine.exact

    def search(self, queries: FloatArray, k: int) -> tuple[IntArray, FloatArray]:
        """(q, d) -> positions in the store (q, k), distances (q, k), nearest first. k is cut to what there is."""
        n = len(self.references)
        k = min(k, n)
        positions = np.empty((len(queries), k), dtype=np.int64)
        found = np.empty((len(queries), k), dtype=np.float32)
        rows, ask = np.arange(len(queries)), k + SPARE
        while len(rows):
            near = self.near(queries[rows], ask)
            ends = near.distances[:, k - 1] if k else near.floor
            sure = (ends < near.floor) | (not self.engine.exact) | (ask >= n)
            positions[rows[sure]] = near.positions[sure, :k]
            found[rows[sure]] = near.distances[sure, :k]
            rows, ask = rows[~sure], 4 * ask
        return positions, found

    def near(self, queries: FloatArray, ask: int) -> Candidates:
        """(q, d) -> about `ask` references near each query, and no other nearer than the floor."""
        n = len(self.references)
        if self.engine.exact and (self.looks_at_all or ask > n // 8):
            return self._all(queries, min(ask, n))
        hits = self.engine.search(queries, min(ask, n))
        positions, missing = self._rectangle(hits)
        vectors = self.references.vectors
        exact = np.empty(positions.shape, dtype=np.float32)
        for rows in row_chunks(len(queries), positions.shape[1] * vectors.shape[1], HELD):
            exact[rows] = distances_to_each(queries[rows], vectors[positions[rows]], self.metric)
        exact[missing] = np.inf
        order = np.lexsort((positions, exact), axis=1)
        return Candidates(
            np.take_along_axis(positions, order, axis=1), np.take_along_axis(exact, order, axis=1), hits.floor
        )

    def _all(self, queries: FloatArray, ask: int) -> Candidates:
        """The nearest `ask` where every reference is measured; an engine has nothing to add."""
        n = len(self.references)
        positions = np.empty((len(queries), ask), dtype=np.int64)
        found = np.empty((len(queries), ask), dtype=np.float32)
        floor = np.full(len(queries), np.inf, dtype=np.float32)
        for rows in row_chunks(len(queries), n, HELD):
            exact = distances(queries[rows], self.references.vectors, self.metric)
            order = np.argsort(exact, axis=1, kind="stable")
            positions[rows], found[rows] = order[:, :ask], np.take_along_axis(exact, order[:, :ask], axis=1)
            if ask < n:
                floor[rows] = exact[np.arange(len(exact)), order[:, ask]]
        return Candidates(positions, found, floor)

    def _rectangle(self, hits: Hits) -> tuple[IntArray, NDArray[np.bool_]]:
        """(q, m) positions in the store; which of them stand for nothing: the engine proposed fewer, or an unknown id.

        One with a server of its own may propose references of a later state.
        """
        ids = self.references.ids
        width = int(hits.counts.max(initial=0))
        missing = np.arange(width) >= hits.counts[:, None]
        found = np.searchsorted(ids, hits.ids).clip(max=len(ids) - 1)
        positions = np.zeros(missing.shape, dtype=np.int64)
        positions[~missing] = found
        missing[~missing] = ids[found] != hits.ids
        return positions, missing
