"""The exact FAISS engine: FAISS proposes candidates, the store's own distances decide."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearkin.contracts import FloatArray, IntArray, Metric
from nearkin.index.distances import distances, unit
from nearkin.index.references import References

SPARE = 32
"""Candidates asked for beyond k, so that FAISS's rounding seldom makes a second search necessary."""
EPSILON = float(np.finfo(np.float32).eps)
HEADER = b"IxM2"
"""What FAISS writes first for an IndexIDMap2."""


class FlatEngine:
    """Nearest references of a query: exact, ties in the order of ids, whatever FAISS rounds.

    Made for one state of the references; cheap to make, as FAISS is loaded and filled on first need.
    """

    def __init__(self, references: References, metric: Metric, cached: bytes = b"") -> None:
        self.references = references
        self.metric = metric
        self._cached = cached

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
        """The same where every reference is looked at; FAISS has nothing to add."""
        exact = distances(queries, self.references.vectors, self.metric)
        order = np.argsort(exact, axis=1, kind="stable")[:, :k]
        return order, np.take_along_axis(exact, order, axis=1)

    def _candidates(self, queries: FloatArray, k: int, ask: int) -> tuple[IntArray, FloatArray, NDArray[np.bool_]]:
        """The best k of FAISS's best `ask`, and for which queries (q,) no other reference can be as near."""
        rough, ids = self.faiss.search(self._prepared(queries), ask)
        positions = np.sort(np.searchsorted(self.references.ids, ids), axis=1)
        vectors = self.references.vectors
        exact = np.stack(
            [
                distances(query[None], vectors[row], self.metric)[0]
                for query, row in zip(queries, positions, strict=True)
            ]
        )
        order = np.argsort(exact, axis=1, kind="stable")[:, :k]
        nearest = np.take_along_axis(exact, order, axis=1)
        sure = nearest[:, -1] < self._floor(rough[:, -1].astype(np.float64), queries)
        return np.take_along_axis(positions, order, axis=1), nearest, sure

    def _floor(self, last: NDArray[np.float64], queries: FloatArray) -> FloatArray:
        """(q,) what no reference beyond FAISS's last candidate can be nearer than, its float32 rounding allowed for.

        A float32 sum of d products is off by at most about d * eps times the sum of their sizes (Higham 2002, ch. 3).
        """
        slack = (queries.shape[1] + 8) * EPSILON
        if self.metric == "l1":
            floor = last * (1 - slack)
        elif self.metric == "cosine":
            floor = 1 - last - 2 * slack
        else:
            # In batches FAISS computes |x|^2 + |y|^2 - 2 x.y, whose error grows with the norms.
            lengths = np.linalg.norm(queries.astype(np.float64), axis=1) + self._longest
            floor = np.sqrt(np.maximum(last - 2 * slack * lengths**2, 0))
        return np.asarray(floor, dtype=np.float32)

    @cached_property
    def _longest(self) -> float:
        return float(np.linalg.norm(self.references.vectors.astype(np.float64), axis=1).max())

    def _prepared(self, vectors: FloatArray) -> FloatArray:
        """(n, d) as FAISS holds them: of length 1 under cosine."""
        prepared = unit(vectors.astype(np.float64)) if self.metric == "cosine" else vectors
        return np.ascontiguousarray(prepared, dtype=np.float32)

    # ---------------------------------------------------------------------------------------------- cache

    @cached_property
    def faiss(self) -> Any:
        """The raw IndexIDMap2 over an IndexFlat: from the cache where that agrees with the store, else filled anew."""
        import faiss

        stored = self._prepared(self.references.vectors)
        cached = _read(self._cached) if self._cached else None
        if cached is not None and self._agrees(cached, stored):
            return cached
        index = faiss.IndexIDMap2(faiss.IndexFlat(stored.shape[1], self._faiss_metric))
        index.add_with_ids(stored, self.references.ids)
        return index

    def to_bytes(self) -> bytes:
        """The FAISS index as FAISS writes it."""
        import faiss

        written: bytes = faiss.serialize_index(self.faiss).tobytes()
        return written

    @property
    def _faiss_metric(self) -> int:
        import faiss

        metrics = {"l1": faiss.METRIC_L1, "l2": faiss.METRIC_L2, "cosine": faiss.METRIC_INNER_PRODUCT}
        return int(metrics[self.metric])

    def _agrees(self, cached: Any, stored: FloatArray) -> bool:
        """Whether a cached index is of the right kind and holds exactly the store's ids and vectors."""
        import faiss

        flat = faiss.downcast_index(cached.index) if isinstance(cached, faiss.IndexIDMap2) else None
        if not isinstance(flat, faiss.IndexFlat) or (flat.ntotal, flat.d) != stored.shape:
            return False
        if cached.metric_type != self._faiss_metric or flat.metric_type != self._faiss_metric:
            return False
        ids = faiss.vector_to_array(cached.id_map)
        held = faiss.vector_to_array(flat.codes).view(np.float32).reshape(stored.shape)
        return bool(np.array_equal(ids, self.references.ids) and np.array_equal(held, stored))


def _read(cached: bytes) -> Any:
    """FAISS's reading of bytes whose hash was confirmed, or None where they are no IndexIDMap2."""
    import faiss

    if not cached.startswith(HEADER):
        return None
    try:
        return faiss.deserialize_index(np.frombuffer(cached, dtype=np.uint8))
    except (RuntimeError, AssertionError):
        return None
