"""An approximate engine: a FAISS index of one state, and beside it what came and went since it was built.

FAISS's own removal and id maps are not used: `IndexIDMap2` over inverted lists answers with other ids after a removal,
HNSW cannot remove at all. Rows that went are passed over; those that came are looked at one by one, until they are
a tenth of all and the index is built anew.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nearkin.contracts import FloatArray, Hits, IntArray
from nearkin.index.engines.faiss_file import read_built, write_built
from nearkin.index.engines.flat import FlatEngine, prepared
from nearkin.index.engines.hits import cut, grown, merged
from nearkin.index.engines.hnsw import Hnsw
from nearkin.index.engines.ivf import Ivf
from nearkin.index.engines.raw import faiss_module, search
from nearkin.index.engines.rounding import in_metric
from nearkin.index.engines.tuning import measured, tuned

ASIDE = 0.1
"""The share that may have come or gone since the index was built."""
FEW = 4096
"""Up to so many that a filter lets through are looked at one by one."""


Maker: TypeAlias = Hnsw | Ivf


@dataclass(frozen=True, eq=False)
class Built:
    """A FAISS index and the ids that its rows had when it was built."""

    index: Any
    rows: IntArray
    """(b,) ascending."""
    recall: float | None
    """Of the nearest ten, measured when it was built; `None` where the effort was given."""


@dataclass(frozen=True, eq=False)
class ApproximateEngine:
    """What `maker` builds; until there are enough references for it, every one is looked at."""

    maker: Maker
    ids: IntArray
    vectors: FloatArray
    built: Built | None = None
    gone: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    """(g,) rows of `built` that are no more, or have another vector; ascending."""

    @classmethod
    def empty(cls, maker: Maker) -> ApproximateEngine:
        """Holding nothing."""
        return cls(maker, np.zeros(0, dtype=np.int64), np.zeros((0, 1), dtype=np.float32))

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def exact(self) -> bool:
        """While every reference is looked at."""
        return self.built is None

    @cached_property
    def fingerprint(self) -> str:
        """Of the options and what was learnt."""
        if self.built is None:
            return "exact"
        learnt = hashlib.sha256(self.maker.options.model_dump_json().encode())
        for part in (self.built.rows, *self.maker.learnt(self.built.index)):
            learnt.update(np.ascontiguousarray(part).data)
        return f"{self.maker.name} {learnt.hexdigest()[:16]}"

    # -------------------------------------------------------------------------------------------- changes

    def holding(self, ids: IntArray, vectors: FloatArray, changed: IntArray | None = None) -> ApproximateEngine:
        """Another; built anew where too much has changed."""
        if self.built is None or changed is None:
            return self._anew(ids, vectors)
        rows = np.flatnonzero(np.isin(self.built.rows, changed, assume_unique=True))
        made = replace(self, ids=ids, vectors=vectors, gone=np.union1d(self.gone, rows))
        return self._anew(ids, vectors) if made._aside > ASIDE * len(self.built.rows) else made

    def _anew(self, ids: IntArray, vectors: FloatArray) -> ApproximateEngine:
        bare = ApproximateEngine(self.maker, ids, vectors)
        if len(ids) < self.maker.fewest(vectors.shape[1]):
            return bare
        index = self.maker.build(vectors)
        recall = None if self.maker.fixed_effort else tuned(self.maker, index, ids, vectors)
        return replace(bare, built=Built(index, ids, recall))

    @property
    def _aside(self) -> int:
        return len(self.gone) + len(self._tail)

    @cached_property
    def _tail(self) -> IntArray:
        """(t,) positions of those that came since it was built."""
        rows = self.built.rows if self.built else self.ids[:0]
        kept = np.delete(rows, self.gone)
        return np.flatnonzero(~np.isin(self.ids, kept, assume_unique=True))

    # --------------------------------------------------------------------------------------------- search

    def search(self, queries: FloatArray, k: int, among: IntArray | None = None) -> Hits:
        """(q, d) -> about the k nearest of each query."""
        if self.built is None:
            return self._flat(None).search(queries, k, among)
        tail = self._flat(self._tail).search(queries, k, among)
        base = self._search_built(self.built, queries, k, among)
        hits = merged([base, tail], len(queries), k)
        return replace(hits, floor=np.zeros(len(queries), dtype=np.float32))

    def _search_built(self, built: Built, queries: FloatArray, k: int, among: IntArray | None) -> Hits:
        allowed = self._allowed(built, among)
        n_allowed = len(built.rows) - len(self.gone) if allowed is None else int(allowed.sum())
        if n_allowed <= max(FEW, k) and (among is not None or n_allowed <= k):
            return self._exactly(queries, k, built.rows if allowed is None else built.rows[allowed])
        ask = min(k * self.maker.refined, n_allowed)
        rough, rows = self._ask(built, queries, ask, allowed)
        short = (rows >= 0).sum(axis=1) < min(k, n_allowed)
        if self.maker.refined > 1:
            apart, rows = measured(queries, self._vectors_of(built, rows), rows, k, self.maker.metric)
        else:
            apart = in_metric(self.maker.metric, rough)
        hits = cut(apart, built.rows[rows], ~short)
        # Fewer than there are: the lists looked at, or a part of the graph cut off from the rest, held no more.
        lost = np.flatnonzero(short)
        allowed_ids = built.rows if allowed is None else built.rows[allowed]
        return grown(hits, lost, self._exactly(queries[lost], k, allowed_ids)) if len(lost) else hits

    def _allowed(self, built: Built, among: IntArray | None) -> NDArray[np.bool_] | None:
        """(b,) rows that may be proposed; `None` for all."""
        if among is None and not len(self.gone):
            return None
        allowed = np.ones(len(built.rows), dtype=bool) if among is None else np.isin(built.rows, among)
        allowed[self.gone] = False
        return allowed

    def _ask(
        self, built: Built, queries: FloatArray, k: int, allowed: NDArray[np.bool_] | None
    ) -> tuple[FloatArray, IntArray]:
        """(q, k) FAISS's distances and row numbers, -1 where it found no more."""
        faiss = faiss_module()
        bits = None if allowed is None else np.packbits(allowed, bitorder="little")
        selector = None if bits is None else faiss.IDSelectorBitmap(bits)
        params = self.maker.params(built.index, selector)
        rough: FloatArray
        rough, rows = search(built.index, prepared(queries, self.maker.metric), k, params)
        return rough, np.where((rows >= 0) & (rows < len(built.rows)), rows, -1)

    def _vectors_of(self, built: Built, rows: IntArray) -> FloatArray:
        """(q, m) rows -> (q, m, d) from the store."""
        positions = np.searchsorted(self.ids, built.rows[rows]).clip(max=len(self.ids) - 1)
        vectors: FloatArray = self.vectors[positions]
        return vectors

    def _exactly(self, queries: FloatArray, k: int, ids: IntArray) -> Hits:
        positions = np.flatnonzero(np.isin(self.ids, ids, assume_unique=True))
        return self._flat(positions).search(queries, k)

    def _flat(self, positions: IntArray | None) -> FlatEngine:
        if positions is None:
            return FlatEngine(self.maker.metric, self.ids, self.vectors)
        return FlatEngine(self.maker.metric, self.ids[positions], self.vectors[positions])

    def within(self, queries: FloatArray, radius: float, among: IntArray | None = None) -> Hits:
        """(q, d) -> about all that are at most `radius` away: a search that grows until it is past the radius."""
        n = len(self) if among is None else int(np.isin(self.ids, among).sum())
        k = 64
        while True:
            hits = self.search(queries, min(k, n), among)
            farthest = np.maximum.reduceat(np.append(hits.distances, 0), np.cumsum(hits.counts) - hits.counts)
            if k >= n or not len(queries) or (farthest > radius).all():
                return hits
            k *= 8

    # ----------------------------------------------------------------------------------------------- file

    def write(self, file: BinaryIO) -> None:
        """What was built, and which rows are no more."""
        built = self.built
        write_built(file, self.maker.name, built.index if built else None, built.rows if built else self.ids, self.gone)

    def opened(self, data: memoryview, ids: IntArray, vectors: FloatArray) -> ApproximateEngine:
        """The engine that wrote these bytes; built anew where they do not fit."""
        found = read_built(data, self.maker.name)
        if found is None or (found.index is None) != (len(ids) < self.maker.fewest(vectors.shape[1])):
            return self._anew(ids, vectors)
        made = ApproximateEngine(self.maker, ids, vectors)
        if found.index is None:
            return made
        made = replace(made, built=Built(found.index, found.rows, None), gone=found.gone)
        return made if self._fits(made, found.index, vectors) else self._anew(ids, vectors)

    def _fits(self, made: ApproximateEngine, index: Any, vectors: FloatArray) -> bool:
        assert made.built
        whole = self.maker.is_own(index) and index.d == vectors.shape[1] and index.ntotal == len(made.built.rows)
        kept = np.delete(made.built.rows, made.gone)
        return bool(whole and np.isin(kept, made.ids).all() and made._aside <= ASIDE * len(made.built.rows))

    @property
    def looked_at(self) -> float:
        """About the share of the references that a search looks at."""
        return self.maker.looked_at(self.built.index) if self.built else 1.0

    @property
    def faiss(self) -> Any:
        """A copy of the FAISS index, rows numbered from 0 in the order of ids when it was built; else a flat one."""
        faiss = faiss_module()
        return faiss.clone_index(self.built.index) if self.built else self._flat(None).faiss
