"""The engine: Milvus proposes candidates; the index measures them again from its own store and decides."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from nearkin import NearkinError
from nearkin.contracts import FloatArray, Hits, IntArray, Metric
from nearkin_milvus.collection import MOST_HITS, Collection
from nearkin_milvus.keys import expressions, read_keys, written_keys

if TYPE_CHECKING:
    from nearkin_milvus import MilvusOptions

EPSILON = float(np.finfo(np.float32).eps)
SAMPLE = 64
"""Rows that are compared when a collection is met again."""
SPENT, FEW = 0.5, 4096
"""A collection is made anew where more rows than this share of the references, and than so many, serve nobody here."""
EFFORTS = ("ef", "search_list")
"""Of Milvus's search parameters: it refuses a search for more hits than these say."""


@dataclass(frozen=True)
class Found:
    """What Milvus gave for one query and this engine holds, nearest first."""

    ids: IntArray
    distances: FloatArray
    beyond: float
    """No other that was asked about is nearer, as Milvus rounds. Infinite: there is no other; 0: nobody knows."""
    more: bool
    """Whether there may be others that Milvus would have given, had it been asked for more."""


class MilvusEngine:
    """References in a collection on the server; under which keys they are there is known here.

    Later and diverging states share the collection: each adds what it has of its own and leaves out what is another's,
    so that none disturbs another. What no state here needs any more stays there until the collection is made anew.
    """

    def __init__(
        self,
        options: MilvusOptions,
        metric: Metric,
        dims: int,
        collection: Collection | None = None,
        ids: IntArray | None = None,
        vectors: FloatArray | None = None,
        keys: IntArray | None = None,
        spent: int = 0,
    ) -> None:
        self._options = options
        self._metric: Metric = metric
        self._dims = dims
        self._collection = collection
        self._ids = np.zeros(0, dtype=np.int64) if ids is None else ids
        self._vectors = np.zeros((0, dims), dtype=np.float32) if vectors is None else vectors
        self._keys = np.zeros(0, dtype=np.int64) if keys is None else keys
        self._spent = spent
        self.exact = options.index_type == "FLAT" and options.consistency == "Strong"
        """FLAT looks at every vector; below strong consistency even that may miss the newest."""
        self.fingerprint = "exact" if self.exact else self._settings()

    def __len__(self) -> int:
        return len(self._ids)

    def __copy__(self) -> MilvusEngine:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> MilvusEngine:
        """It is never changed, and holds the collection for as long as any copy of an index has it."""
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """As an index on disk does, a pickle names the collection, which is kept from now on."""
        file = io.BytesIO()
        self.write(file)
        return _unpickled, (self._options, self._metric, self._dims, file.getvalue(), self._ids, self._vectors)

    def _settings(self) -> str:
        """With the collection's name: another one has learnt another graph or other clusters."""
        options, name = self._options, self._collection.name if self._collection else "nothing yet"
        params = json.dumps([options.build_params, options.search_params, options.consistency], sort_keys=True)
        return f"milvus {options.index_type} {params} {name}"

    # ----------------------------------------------------------------------------------------------- changes

    def holding(self, ids: IntArray, vectors: FloatArray, changed: IntArray | None = None) -> MilvusEngine:
        """Another over the same collection, to which what came is added; over a new one where it must be made anew."""
        collection = self._collection
        if collection is None or changed is None:
            return self._anew(ids, vectors)
        kept = ~np.isin(ids, changed)
        spent = self._spent + len(self) - int(kept.sum())
        if spent > max(FEW, SPENT * len(ids)):
            return self._anew(ids, vectors)
        keys = np.empty(len(ids), dtype=np.int64)
        keys[kept] = self._keys[np.searchsorted(self._ids, ids[kept])]
        if not kept.all():
            keys[~kept] = collection.add(vectors[~kept])
        return self._over(collection, ids, vectors, keys, spent)

    def _anew(self, ids: IntArray, vectors: FloatArray) -> MilvusEngine:
        if not len(ids):
            return self._over(None, ids, vectors, ids, 0)
        collection = Collection.created(self._options, self._metric, self._dims)
        return self._over(collection, ids, vectors, collection.add(vectors), 0)

    def _over(
        self, collection: Collection | None, ids: IntArray, vectors: FloatArray, keys: IntArray, spent: int
    ) -> MilvusEngine:
        return MilvusEngine(self._options, self._metric, self._dims, collection, ids, vectors, keys, spent)

    # ------------------------------------------------------------------------------------------------- asked

    def search(self, queries: FloatArray, k: int, among: IntArray | None = None) -> Hits:
        """(q, d) -> the k nearest of each query; at most 16,384, which is what Milvus gives."""
        keys = self._keys_of(among)
        k = min(k, len(keys), MOST_HITS)
        if not k or self._collection is None:
            return _hits([], np.full(len(queries), np.inf))
        found = self._found(self._collection, queries, k, None if among is None else keys)
        return _hits(found, self._floor(queries, found, k))

    def within(self, queries: FloatArray, radius: float, among: IntArray | None = None) -> Hits:
        """(q, d) -> all that are at most `radius` away; an error where they are more than Milvus gives."""
        keys = self._keys_of(among)
        if not len(keys) or self._collection is None:
            return _hits([], np.full(len(queries), np.inf))
        bound = self._bound(radius)
        found = self._found(self._collection, queries, len(keys), None if among is None else keys, bound)
        if any(one.more for one in found):
            raise NearkinError(
                f"engine milvus: more than {MOST_HITS:,} are within {radius:g}. Ask for a smaller radius."
            )
        return _hits(found, np.full(len(queries), np.nextafter(np.float32(radius), np.float32(np.inf))))

    def _found(
        self, collection: Collection, queries: FloatArray, k: int, keys: IntArray | None, bound: float | None = None
    ) -> list[Found]:
        """Up to k for each query, of those with these keys or of all; those nearer than a bound, if given."""
        if keys is not None:
            return self._filtered(collection, queries, k, keys, bound)
        found: dict[int, Found] = {}
        rows, ask = [*range(len(queries))], min(MOST_HITS, k + min(k, self._spent))
        while rows:
            parts = collection.search(queries[rows], ask, "", self._params(ask, bound))
            found |= {row: self._mine((part,), k, ask, len(self)) for row, part in zip(rows, parts, strict=True)}
            rows = [row for row in rows if found[row].more and len(found[row].ids) < k]  # others' rows took places
            if ask == MOST_HITS:
                break
            ask = min(MOST_HITS, 4 * ask)
        if rows:
            own = self._filtered(collection, queries[rows], k, self._sorted_keys, bound)
            found |= zip(rows, own, strict=True)
        return [found[row] for row in range(len(queries))]

    def _filtered(
        self, collection: Collection, queries: FloatArray, k: int, keys: IntArray, bound: float | None
    ) -> list[Found]:
        """Up to k for each query of those with (m,) keys, ascending."""
        limit = min(k, MOST_HITS)
        parts = [collection.search(queries, limit, some, self._params(limit, bound)) for some in expressions(keys)]
        return [self._mine(row, k, limit, len(keys)) for row in zip(*parts, strict=True)]

    def _mine(self, parts: tuple[tuple[IntArray, FloatArray], ...], k: int, limit: int, n: int) -> Found:
        """The k nearest of what several searches for `limit` of n gave for one query; others' rows are left out."""
        keys, numbers = (np.concatenate(some) for some in zip(*parts, strict=True))
        at = np.searchsorted(self._sorted_keys, keys).clip(max=len(self) - 1)
        known = self._sorted_keys[at] == keys
        ids, distances = self._ids[self._order[at[known]]], self._in_metric(numbers[known])
        order = np.argsort(distances, kind="stable")[:k]
        last = [float(self._in_metric(some[-1:])[0]) for _, some in parts if len(some) == limit]
        more = bool(last) and len(ids) < n
        if len(ids) > k:
            last.append(float(distances[order[-1]]))
        beyond = np.inf if len(order) == n else min(last, default=0.0)
        return Found(ids[order], distances[order], beyond, more)

    def _keys_of(self, among: IntArray | None) -> IntArray:
        """(m,) ascending."""
        return self._sorted_keys if among is None else np.sort(self._keys[np.isin(self._ids, among)])

    @cached_property
    def _order(self) -> IntArray:
        """(n,) positions, in the order of keys."""
        return np.argsort(self._keys, kind="stable")

    @cached_property
    def _sorted_keys(self) -> IntArray:
        return self._keys[self._order]

    def _params(self, limit: int, bound: float | None) -> dict[str, Any]:
        """Beside those of the options."""
        if bound is not None:
            return {"radius": bound}
        efforts = {name: self._options.search_params.get(name) for name in EFFORTS}
        return {name: limit for name, effort in efforts.items() if isinstance(effort, int | float) and effort < limit}

    def _in_metric(self, numbers: FloatArray) -> FloatArray:
        """Milvus gives the square of a Euclidean distance, and the cosine itself."""
        if self._metric == "cosine":
            return np.asarray(1 - numbers, dtype=np.float32)
        return np.sqrt(np.maximum(numbers, 0), dtype=np.float32)

    def _bound(self, radius: float) -> float:
        """What Milvus calls the radius, a little wider for its rounding; it leaves out what is exactly there."""
        slack = (self._dims + 8) * EPSILON
        return 1 - radius - 2 * slack if self._metric == "cosine" else radius**2 * (1 + 4 * slack) + 1e-12

    def _floor(self, queries: FloatArray, found: list[Found], k: int) -> FloatArray:
        """(q,) what nothing left out is nearer than: what Milvus says, less what float32 may have rounded.

        A sum of d products is off by at most about d * eps times the sum of their sizes (Higham 2002, ch. 3).
        """
        if not self.exact:
            return np.zeros(len(queries), dtype=np.float32)
        last = np.array([one.beyond if len(one.ids) == k else 0 for one in found], dtype=np.float64)
        slack = (self._dims + 8) * EPSILON
        if self._metric == "cosine":
            return np.asarray(last - 4 * slack, dtype=np.float32)
        lengths = np.linalg.norm(queries.astype(np.float64), axis=1) + self._longest
        return np.asarray(np.sqrt(np.maximum(last**2 - 4 * slack * lengths**2, 0)), dtype=np.float32)

    @cached_property
    def _longest(self) -> float:
        """The length of the longest; in chunks, as the store may be larger than memory."""
        starts = range(0, len(self), 2**16)
        norms = (np.linalg.norm(self._vectors[start : start + 2**16].astype(np.float64), axis=1) for start in starts)
        return max((float(some.max()) for some in norms), default=0.0)

    # -------------------------------------------------------------------------------------------------- disk

    def write(self, file: BinaryIO) -> None:
        """The collection's name, which is kept on the server from now on, and the keys."""
        if self._collection is not None:
            self._collection.keep()
        file.write(written_keys(self._collection.name if self._collection else None, self._keys))

    def opened(self, data: memoryview, ids: IntArray, vectors: FloatArray) -> MilvusEngine:
        """Over the collection that was written down, where it still holds these; over a new one otherwise."""
        said = read_keys(data, len(ids)) if len(ids) else None
        if said is None:
            return self._anew(ids, vectors)
        name, keys = said
        collection = Collection(self._options, self._metric, self._dims, name)
        rows = np.unique(np.linspace(0, len(ids) - 1, SAMPLE).astype(np.int64))
        if not collection.holds(keys[rows], vectors[rows]) or (n := collection.count()) < len(ids):
            return self._anew(ids, vectors)
        return self._over(collection, ids, vectors, keys, n - len(ids))


def _unpickled(
    options: MilvusOptions, metric: Metric, dims: int, data: bytes, ids: IntArray, vectors: FloatArray
) -> MilvusEngine:
    return MilvusEngine(options, metric, dims).opened(memoryview(data), ids, vectors)


def _hits(found: list[Found], floor: FloatArray) -> Hits:
    """Of none: nothing for any query."""
    ids = np.concatenate([one.ids for one in found] or [np.zeros(0, dtype=np.int64)])
    distances = np.concatenate([one.distances for one in found] or [np.zeros(0, dtype=np.float32)])
    counts = np.array([len(one.ids) for one in found] or np.zeros(len(floor)), dtype=np.int64)
    return Hits(ids, distances, counts, np.asarray(floor, dtype=np.float32))
