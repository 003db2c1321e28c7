"""Candidates: what an engine proposed, and which of it has to be measured before anything is said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearkin.contracts import FloatArray, Hits, IntArray, Metric
from nearkin.index.distances import distances_of_pairs


@dataclass(frozen=True)
class Candidates:
    """What was proposed for q queries, measured: nearest first, ties in the order of ids."""

    positions: IntArray
    """(q, m) in the store."""
    distances: FloatArray
    """(q, m) infinite where fewer were proposed, and for those that cannot be among what was asked for."""
    floor: FloatArray
    """(q,) no reference that was not proposed is nearer than this; 0 where the engine cannot say."""


@dataclass(frozen=True)
class Proposed:
    """An engine's hits side by side, as near as it says."""

    positions: IntArray
    """(q, m) in the store."""
    missing: NDArray[np.bool_]
    """(q, m) where it proposed fewer, or a reference that is no more."""
    rough: FloatArray
    """(q, m)"""
    off: FloatArray
    """(q, m) what those may be off by; infinite where nobody knows."""
    floor: FloatArray
    """(q,)"""

    @classmethod
    def of(cls, hits: Hits, ids: IntArray) -> Proposed:
        """Hits among references of these ids, ascending.

        An engine with a server of its own may propose references of a later state.
        """
        width = int(hits.counts.max(initial=0))
        there = np.arange(width) < hits.counts[:, None]
        found = _places(hits.ids, ids)
        known = ids[found] == hits.ids
        off = np.full(len(known), np.inf, dtype=np.float32) if hits.off is None else hits.off
        return cls(
            _side_by_side(found, there, 0),
            ~_side_by_side(known, there, False),
            _side_by_side(hits.distances, there, 0),
            _side_by_side(np.where(known, off, np.inf), there, np.inf),
            hits.floor,
        )

    def needed(self, shown: int, codes: NDArray[np.integer], k: int) -> NDArray[np.bool_]:
        """(q, m) those that may be among the `shown` nearest, or the k nearest of their class, (q, m) codes."""
        low, high = self.rough - self.off, np.maximum.accumulate(self.rough + self.off, axis=1)
        width = low.shape[1]
        if width <= shown or not np.isfinite(high[:, 0]).all():
            return ~self.missing
        needed = low <= high[:, shown - 1 : shown]
        if k:
            order = np.argsort(codes, axis=1, kind="stable")  # nearest first within each class
            own = np.take_along_axis(codes, order, axis=1)
            begins = np.diff(own, axis=1, prepend=-1) != 0
            start = np.maximum.accumulate(np.where(begins, np.arange(width), 0), axis=1)
            enough = np.take_along_axis(high, np.take_along_axis(order, np.minimum(start + k - 1, width - 1), 1), 1)
            among = (np.arange(width) < start + k) | (np.take_along_axis(low, order, axis=1) <= enough)
            by_class = np.empty_like(needed)
            np.put_along_axis(by_class, order, among, axis=1)
            needed |= by_class
        return np.asarray(needed & ~self.missing)


def measured(proposed: Proposed, needed: NDArray[np.bool_], queries: FloatArray, vectors: FloatArray,
             metric: Metric) -> Candidates:  # fmt: skip
    """Those that are needed, (q, m), with their distances from the store, (n, d)."""
    rows, at = np.nonzero(needed)
    positions = proposed.positions[rows, at]
    apart = distances_of_pairs(queries, rows, vectors, positions, metric)
    counts = needed.sum(axis=1)
    order, several = np.arange(len(rows)), np.flatnonzero(np.repeat(counts > 1, counts))
    order[several] = several[np.lexsort((positions[several], apart[several], rows[several]))]
    place = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    shape = len(queries), int(counts.max(initial=0))
    found = Candidates(np.zeros(shape, dtype=np.int64), np.full(shape, np.inf, dtype=np.float32), proposed.floor)
    found.positions[rows, place], found.distances[rows, place] = positions[order], apart[order]
    return found


def _side_by_side(values: NDArray[Any], there: NDArray[np.bool_], nothing: Any) -> NDArray[Any]:
    """(t,) values, row after row -> (q, m), `nothing` where there is none."""
    if there.all():
        return values.reshape(there.shape)
    wide = np.full(there.shape, nothing, dtype=values.dtype)
    wide[there] = values
    return wide


def _places(wanted: IntArray, ids: IntArray) -> IntArray:
    """Where ids stand among others, ascending; anywhere for those that are not there."""
    in_a_row = len(ids) and ids[-1] - ids[0] == len(ids) - 1
    found = wanted - ids[0] if in_a_row else np.searchsorted(ids, wanted)
    return np.asarray(found.clip(0, max=len(ids) - 1))
