"""The exact engine: FAISS looks at every vector, in the store's own memory where it can."""

from __future__ import annotations

from functools import cached_property
from typing import Any, BinaryIO

import numpy as np

from nearkin.contracts import FloatArray, Hits, IntArray, Metric
from nearkin.index.distances import HELD, distances, row_chunks, unit
from nearkin.index.engines.hits import none_for
from nearkin.index.engines.raw import faiss_module
from nearkin.index.engines.rounding import bounds, in_metric


class FlatEngine:
    """Every reference is looked at. Nothing is learnt, so nothing has to be kept."""

    exact = True
    fingerprint = "exact"
    WRITTEN = b"flat\n"

    def __init__(self, metric: Metric, ids: IntArray | None = None, vectors: FloatArray | None = None) -> None:
        self.metric = metric
        self._ids = np.zeros(0, dtype=np.int64) if ids is None else ids
        self._vectors = np.zeros((0, 1), dtype=np.float32) if vectors is None else vectors

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def vectors(self) -> FloatArray:
        """(n, d) as they were given."""
        return self._vectors

    def holding(self, ids: IntArray, vectors: FloatArray, changed: IntArray | None = None) -> FlatEngine:
        """Another; nothing is copied."""
        return FlatEngine(self.metric, ids, vectors)

    def search(self, queries: FloatArray, k: int, among: IntArray | None = None) -> Hits:
        """(q, d) -> the k nearest of each query."""
        faiss = faiss_module()
        ids, vectors = self._some(among)
        k = min(k, len(ids))
        if not k:
            return none_for(len(queries))
        rough, positions = faiss.knn(prepared(queries, self.metric), vectors, k, metric=faiss_metric(self.metric))
        least, most = bounds(self.metric, rough, queries, self._longest)
        beyond = np.full(len(queries), np.inf, dtype=np.float32) if k == len(ids) else least[:, -1]
        found, counts = in_metric(self.metric, rough), np.full(len(queries), k, dtype=np.int64)
        return Hits(ids[positions].ravel(), found.ravel(), counts, beyond, off=(most - least).ravel())

    def within(self, queries: FloatArray, radius: float, among: IntArray | None = None) -> Hits:
        """(q, d) -> all that are at most `radius` away."""
        ids, vectors = self._some(among)
        parts = []
        for rows in row_chunks(len(queries), len(ids), HELD):
            exact = distances(queries[rows], vectors, self.metric)
            near, at = np.nonzero(exact <= radius)
            order = np.lexsort((exact[near, at], near))
            near, at = near[order], at[order]
            parts.append((ids[at], exact[near, at], np.bincount(near, minlength=len(exact)).astype(np.int64)))
        if not parts:
            return none_for(0)
        found = [np.concatenate(some) for some in zip(*parts, strict=True)]
        beyond = np.full(len(queries), np.nextafter(np.float32(radius), np.float32(np.inf)), dtype=np.float32)
        return Hits(found[0], found[1], found[2], beyond)

    def write(self, file: BinaryIO) -> None:
        """Its name alone: the store holds the rest."""
        file.write(self.WRITTEN)

    def opened(self, data: memoryview, ids: IntArray, vectors: FloatArray) -> FlatEngine:
        """Another; there is nothing to read."""
        return FlatEngine(self.metric, ids, vectors)

    @property
    def faiss(self) -> Any:
        """An IndexIDMap2 over an IndexFlat of the same, made when asked for; under cosine of vectors of length 1."""
        faiss = faiss_module()
        index = faiss.IndexIDMap2(faiss.IndexFlat(self._vectors.shape[1], faiss_metric(self.metric)))
        if len(self):
            index.add_with_ids(self._prepared, self._ids)
        return index

    def _some(self, among: IntArray | None) -> tuple[IntArray, FloatArray]:
        """The ids and prepared vectors to look at."""
        if among is None:
            return self._ids, self._prepared
        positions = np.flatnonzero(np.isin(self._ids, among))
        return self._ids[positions], self._prepared[positions]

    @cached_property
    def _prepared(self) -> FloatArray:
        return prepared(self._vectors, self.metric)

    @cached_property
    def _longest(self) -> float:
        """Of all vectors; in chunks, as the store may be larger than memory."""
        chunks = row_chunks(len(self), self._vectors.shape[1], HELD)
        parts = (self._vectors[rows] for rows in chunks)
        squares = (np.einsum("nd,nd->n", part, part, dtype=np.float64) for part in parts)
        return float(np.sqrt(max((float(some.max()) for some in squares), default=0.0)))


def prepared(vectors: FloatArray, metric: Metric) -> FloatArray:
    """(n, d) as FAISS compares them: of length 1 under cosine, where un-normalised ones rank by length."""
    if metric != "cosine":
        return np.ascontiguousarray(vectors, dtype=np.float32)
    made = np.empty(vectors.shape, dtype=np.float32)
    for rows in row_chunks(len(vectors), vectors.shape[1], HELD):
        made[rows] = unit(vectors[rows].astype(np.float64))
    return made


def faiss_metric(metric: Metric) -> int:
    """FAISS's number for it."""
    faiss = faiss_module()
    return int({"l1": faiss.METRIC_L1, "l2": faiss.METRIC_L2, "cosine": faiss.METRIC_INNER_PRODUCT}[metric])
