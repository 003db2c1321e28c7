"""The store searched: an engine proposes candidates, distances computed from the store itself decide."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nearkin.contracts import Engine, FloatArray, Hits, IntArray, Metric
from nearkin.index.distances import distances
from nearkin.index.references import References

SPARE = 32
"""Candidates asked for beyond k, so that an engine's rounding seldom makes a second search necessary."""


@dataclass(frozen=True)
class Searcher:
    """One state of the references and the engine that holds it.

    With an exact engine what it finds is exact, ties in the order of ids, whatever the engine rounds.
    """

    references: References
    engine: Engine
    metric: Metric

    def search(self, queries: FloatArray, k: int) -> tuple[IntArray, FloatArray]:
        """(q, d) -> positions in the store (q, k), distances (q, k), nearest first. k is cut to what there is.

        Memory: up to q * n numbers; callers bring queries in chunks.
        """
        n = len(self.references)
        k = min(k, n)
        positions = np.empty((len(queries), k), dtype=np.int64)
        found = np.empty((len(queries), k), dtype=np.float32)
        rows, ask = np.arange(len(queries)), k + SPARE
        while len(rows) and ask < n:
            some_positions, some, sure = self._candidates(queries[rows], k, ask)
            positions[rows[sure]], found[rows[sure]] = some_positions[sure], some[sure]
            rows, ask = rows[~sure], 4 * ask
        if len(rows):
            positions[rows], found[rows] = self._all(queries[rows], k)
        return positions, found

    def _all(self, queries: FloatArray, k: int) -> tuple[IntArray, FloatArray]:
        """The same where every reference is looked at; an engine has nothing to add."""
        exact = distances(queries, self.references.vectors, self.metric)
        order = np.argsort(exact, axis=1, kind="stable")[:, :k]
        return order, np.take_along_axis(exact, order, axis=1)

    def _candidates(self, queries: FloatArray, k: int, ask: int) -> tuple[IntArray, FloatArray, NDArray[np.bool_]]:
        """The best k of the engine's best `ask`, and for which queries (q,) no other reference can be as near."""
        hits = self.engine.search(queries, ask)
        positions = np.sort(self._rectangle(hits, len(queries)), axis=1)
        vectors = self.references.vectors
        exact = np.stack(
            [
                distances(query[None], vectors[row], self.metric)[0]
                for query, row in zip(queries, positions, strict=True)
            ]
        )
        order = np.argsort(exact, axis=1, kind="stable")[:, :k]
        nearest = np.take_along_axis(exact, order, axis=1)
        return np.take_along_axis(positions, order, axis=1), nearest, nearest[:, -1] < hits.floor

    def _rectangle(self, hits: Hits, n_queries: int) -> IntArray:
        """(q, m) positions in the store."""
        return np.searchsorted(self.references.ids, hits.ids).reshape(n_queries, -1)
