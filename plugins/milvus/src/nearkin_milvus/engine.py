"""The engine: Milvus proposes candidates; the index measures them again from its own store and decides."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from nearkin import NearkinError
from nearkin.contracts import FloatArray, Hits, IntArray, Metric
from nearkin_milvus.collection import MOST_HITS, Collection

if TYPE_CHECKING:
    from nearkin_milvus import MilvusOptions

FORMAT = "nearkin milvus engine 1"
EPSILON = float(np.finfo(np.float32).eps)
SAMPLE = 64
"""Rows that are compared when a collection is met again."""
MOST_TERMS = 5_000
"""Of one filter expression: ranges and single ids."""


class MilvusEngine:
    """References in a collection of their own on the server; which ids belong to this state is known here.

    A later state changes the same collection, so an older one may find less of what it holds, never something else.
    """

    def __init__(
        self,
        options: MilvusOptions,
        metric: Metric,
        dims: int,
        collection: Collection | None = None,
        ids: IntArray | None = None,
        vectors: FloatArray | None = None,
    ) -> None:
        self._options = options
        self._metric: Metric = metric
        self._dims = dims
        self._collection = collection
        self._ids = np.zeros(0, dtype=np.int64) if ids is None else ids
        self._vectors = np.zeros((0, dims), dtype=np.float32) if vectors is None else vectors
        self._longest: float | None = None
        self.exact = options.index_type == "FLAT" and options.consistency == "Strong"
        """FLAT looks at every vector; below strong consistency even that may miss the newest."""
        self.fingerprint = "exact" if self.exact else self._settings()

    def __len__(self) -> int:
        return len(self._ids)

    def _settings(self) -> str:
        """With the collection's name: another one has learnt another graph or other clusters."""
        options, name = self._options, self._collection.name if self._collection else "nothing yet"
        params = json.dumps([options.build_params, options.search_params, options.consistency], sort_keys=True)
        return f"milvus {options.index_type} {params} {name}"

    # ----------------------------------------------------------------------------------------------- changes

    def holding(self, ids: IntArray, vectors: FloatArray, changed: IntArray | None = None) -> MilvusEngine:
        """Another over the same collection, told what changed; over a new one where it must be made anew."""
        collection = self._collection
        if not len(ids) and (collection is None or changed is None):
            return self._over(None, ids, vectors)
        if collection is None or changed is None:
            collection = Collection.created(self._options, self._metric, self._dims)
            collection.put(ids, vectors)
            return self._over(collection, ids, vectors)
        there = np.isin(changed, ids)
        collection.delete(changed[~there])
        rows = np.searchsorted(ids, np.sort(changed[there]))
        collection.put(ids[rows], vectors[rows])
        return self._over(collection, ids, vectors)

    def _over(self, collection: Collection | None, ids: IntArray, vectors: FloatArray) -> MilvusEngine:
        return MilvusEngine(self._options, self._metric, self._dims, collection, ids, vectors)

    # ------------------------------------------------------------------------------------------------- asked

    def search(self, queries: FloatArray, k: int, among: IntArray | None = None) -> Hits:
        """(q, d) -> the k nearest of each query; at most 16,384, which is what Milvus gives."""
        some = self._ids if among is None else self._ids[np.isin(self._ids, among)]
        k = min(k, len(some), MOST_HITS)
        if not k or self._collection is None:
            return _hits([_NOTHING] * len(queries), np.full(len(queries), np.inf))
        expressions = [""] if among is None else _expressions(self._ids, some)
        parts = [self._collection.search(queries, k, expression) for expression in expressions]
        found = [self._best(row, k) for row in zip(*parts, strict=True)]
        return _hits(found, self._floor(queries, found, k == len(some)))

    def within(self, queries: FloatArray, radius: float, among: IntArray | None = None) -> Hits:
        """(q, d) -> all that are at most `radius` away; an error where they are more than Milvus gives."""
        some = self._ids if among is None else self._ids[np.isin(self._ids, among)]
        limit = min(len(some), MOST_HITS)
        if not limit or self._collection is None:
            return _hits([_NOTHING] * len(queries), np.full(len(queries), np.inf))
        expressions = [""] if among is None else _expressions(self._ids, some)
        bound = {"radius": self._bound(radius)}
        parts = [self._collection.search(queries, limit, expression, bound) for expression in expressions]
        if len(some) > limit and any(len(ids) == limit for part in parts for ids, _ in part):
            raise NearkinError(f"engine milvus: more than {limit:,} are within {radius:g}. Ask for a smaller radius.")
        found = [self._best(row, len(some)) for row in zip(*parts, strict=True)]
        return _hits(found, np.full(len(queries), np.nextafter(np.float32(radius), np.float32(np.inf))))

    def _best(self, parts: tuple[tuple[IntArray, FloatArray], ...], k: int) -> tuple[IntArray, FloatArray]:
        """The k nearest of what several expressions gave for one query; what came since this state is left out."""
        ids, numbers = (np.concatenate(some) for some in zip(*parts, strict=True))
        known = np.isin(ids, self._ids)
        ids, distances = ids[known], self._in_metric(numbers[known])
        order = np.argsort(distances, kind="stable")[:k]
        return ids[order], distances[order]

    def _in_metric(self, numbers: FloatArray) -> FloatArray:
        """Milvus gives the square of a Euclidean distance, and the cosine itself."""
        if self._metric == "cosine":
            return np.asarray(1 - numbers, dtype=np.float32)
        return np.sqrt(np.maximum(numbers, 0), dtype=np.float32)

    def _bound(self, radius: float) -> float:
        """What Milvus calls the radius, a little wider for its rounding; it leaves out what is exactly there."""
        slack = (self._dims + 8) * EPSILON
        return 1 - radius - 2 * slack if self._metric == "cosine" else radius**2 * (1 + 4 * slack) + 1e-12

    def _floor(self, queries: FloatArray, found: list[tuple[IntArray, FloatArray]], is_all: bool) -> FloatArray:
        """(q,) what nothing left out is nearer than: the farthest found, less what float32 may have rounded.

        A sum of d products is off by at most about d * eps times the sum of their sizes (Higham 2002, ch. 3).
        """
        if not self.exact:
            return np.zeros(len(queries), dtype=np.float32)
        if is_all:
            return np.full(len(queries), np.inf, dtype=np.float32)
        last = np.array([distances[-1] if len(distances) else 0 for _, distances in found], dtype=np.float64)
        slack = (self._dims + 8) * EPSILON
        if self._metric == "cosine":
            return np.asarray(last - 4 * slack, dtype=np.float32)
        lengths = np.linalg.norm(queries.astype(np.float64), axis=1) + self._length_of_longest()
        return np.asarray(np.sqrt(np.maximum(last**2 - 4 * slack * lengths**2, 0)), dtype=np.float32)

    def _length_of_longest(self) -> float:
        if self._longest is None:
            starts = range(0, len(self), 2**16)
            norms = (
                np.linalg.norm(self._vectors[start : start + 2**16].astype(np.float64), axis=1) for start in starts
            )
            self._longest = max((float(some.max()) for some in norms), default=0.0)
        return self._longest

    # -------------------------------------------------------------------------------------------------- disk

    def write(self, file: BinaryIO) -> None:
        """The collection's name: it is kept on the server from now on."""
        if self._collection is not None:
            self._collection.keep()
        said = {"format": FORMAT, "collection": self._collection.name if self._collection else None}
        file.write(json.dumps(said).encode())

    def opened(self, data: memoryview, ids: IntArray, vectors: FloatArray) -> MilvusEngine:
        """Over the collection that was written down, where it still holds these; over a new one otherwise."""
        name = _named(data)
        if name is None or not len(ids):
            return self.holding(ids, vectors)
        collection = Collection(self._options, self._metric, self._dims, name)
        rows = np.unique(np.linspace(0, len(ids) - 1, SAMPLE).astype(np.int64))
        if collection.holds(ids[rows], vectors[rows]) and collection.count() == len(ids):
            return self._over(collection, ids, vectors)
        return self.holding(ids, vectors)


_NOTHING = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)


def _named(data: memoryview) -> str | None:
    """The collection that `write` wrote down, or None for any other bytes."""
    try:
        said = json.loads(bytes(data))
        return said["collection"] if said["format"] == FORMAT and isinstance(said["collection"], str) else None
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _hits(found: list[tuple[IntArray, FloatArray]], floor: FloatArray) -> Hits:
    ids = np.concatenate([ids for ids, _ in found] or [_NOTHING[0]])
    distances = np.concatenate([some for _, some in found] or [_NOTHING[1]])
    counts = np.array([len(ids) for ids, _ in found], dtype=np.int64)
    return Hits(ids, distances, counts, np.asarray(floor, dtype=np.float32))


def _expressions(held: IntArray, some: IntArray) -> list[str]:
    """Filters for (m,) of the (n,) ids held, both ascending: ids that stand side by side as one range."""
    places = np.searchsorted(held, some)  # at least one
    starts = np.flatnonzero(np.diff(places, prepend=-2) != 1)
    ends = np.append(starts[1:], len(places)) - 1
    ranges = [(int(some[a]), int(some[b])) for a, b in zip(starts, ends, strict=True)]
    return [_expression(ranges[at : at + MOST_TERMS]) for at in range(0, len(ranges), MOST_TERMS)]


def _expression(ranges: list[tuple[int, int]]) -> str:
    single = [first for first, last in ranges if first == last]
    parts = [f"({first} <= id and id <= {last})" for first, last in ranges if first != last]
    return " or ".join(parts + ([f"id in {single}"] if single else []))
