"""The store searched: an engine proposes candidates, distances computed from the store itself decide."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nearkin.contracts import Engine, FloatArray, IntArray, Metric
from nearkin.index.balls import Balls
from nearkin.index.candidates import Candidates, Proposed, measured
from nearkin.index.distances import HELD, distances, row_chunks
from nearkin.index.engines.flat import FlatEngine
from nearkin.index.references import References

SPARE = 32
"""Candidates asked for beyond k, so that an engine's rounding seldom makes a second search necessary."""
LOOKED_AT = 2**18
"""Up to so many numbers (references times dimensions) every reference is measured: no engine is quicker."""


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

    @cached_property
    def balls(self) -> Balls:
        """Around the classes."""
        return Balls.around(self.references, self.metric)

    def search(self, queries: FloatArray, k: int) -> tuple[IntArray, FloatArray]:
        """(q, d) -> positions in the store (q, k), distances (q, k), nearest first. k is cut to what there is."""
        n = len(self.references)
        k = min(k, n)
        positions = np.empty((len(queries), k), dtype=np.int64)
        found = np.empty((len(queries), k), dtype=np.float32)
        rows, ask = np.arange(len(queries)), k + SPARE
        while len(rows):
            near = self.near(queries[rows], ask, shown=k)
            ends = near.distances[:, k - 1] if k else near.floor
            sure = (ends < near.floor) | (not self.engine.exact) | (ask >= n)
            positions[rows[sure]] = near.positions[sure, :k]
            found[rows[sure]] = near.distances[sure, :k]
            rows, ask = rows[~sure], 4 * ask
        return positions, found

    def near(self, queries: FloatArray, ask: int, *, shown: int, k: int = 0) -> Candidates:
        """(q, d) -> among about `ask` references near each query the `shown` nearest, and the k nearest of each class.

        No other reference is nearer than the floor.
        """
        n = len(self.references)
        if self.engine.exact and (self.looks_at_all or ask > n // 8):
            return self._all(queries, min(ask, n))
        proposed = Proposed.of(self.engine.search(queries, min(ask, n)), self.references.ids)
        codes = self.references.codes[proposed.positions]
        needed = proposed.needed(shown, codes, k) if self.engine.exact else ~proposed.missing
        return measured(proposed, needed, queries, self.references.vectors, self.metric)

    def nearest_among(self, queries: FloatArray, members: IntArray, k: int) -> FloatArray:
        """(q, d), (m,) positions -> (q, k) distances to the nearest of these, ascending; infinite beyond m."""
        found = np.full((len(queries), k), np.inf, dtype=np.float32)
        part = FlatEngine(self.metric, members, self.references.vectors[members])
        proposed = Proposed.of(part.search(queries, k + 1), members)
        near = measured(proposed, proposed.needed(k, proposed.positions, 0), queries, part.vectors, self.metric)
        width = min(k, near.distances.shape[1])
        found[:, :width] = near.distances[:, :width]
        unsure = np.flatnonzero(found[:, width - 1] >= near.floor)  # beyond what FAISS can tell
        for rows in row_chunks(len(unsure), len(members), HELD):
            apart = distances(queries[unsure[rows]], part.vectors, self.metric)
            found[unsure[rows], :width] = np.sort(apart, axis=1)[:, :width]
        return found

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
