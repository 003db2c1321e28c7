"""The engine that chooses itself: exact while that is quick, then whichever approximate one pays."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, BinaryIO

from nearkin.contracts import FloatArray, Hits, IntArray, Metric
from nearkin.index.engines.approximate import ApproximateEngine
from nearkin.index.engines.flat import FlatEngine
from nearkin.index.engines.hnsw import Hnsw
from nearkin.index.engines.ivf import Ivf, codes_of
from nearkin.index.engines.options import AutoOptions, HnswOptions, IvfOptions

EXACT_UP_TO = 2**24
"""Numbers (references times dimensions) that one processor core looks through in some 10 ms."""
GRAPH_UP_TO = 2**25
"""Numbers of which a graph is built in less than a minute."""
WORTH = 0.5
"""The share of all references that an approximate search may look at; beyond it, the exact one is as quick."""


@dataclass(frozen=True, eq=False)
class AutoEngine:
    """Hands everything to the engine that it chose."""

    options: AutoOptions
    metric: Metric
    chosen: FlatEngine | ApproximateEngine
    tried: int = 0
    """How many references there were when it was chosen."""

    @classmethod
    def empty(cls, options: AutoOptions, metric: Metric) -> AutoEngine:
        """Holding nothing."""
        return cls(options, metric, FlatEngine(metric))

    def __len__(self) -> int:
        return len(self.chosen)

    @property
    def exact(self) -> bool:
        """Whether the chosen one is."""
        return self.chosen.exact

    @property
    def fingerprint(self) -> str:
        """The chosen one's."""
        return self.chosen.fingerprint

    @property
    def faiss(self) -> Any:
        """The chosen one's."""
        return self.chosen.faiss

    def holding(self, ids: IntArray, vectors: FloatArray, changed: IntArray | None = None) -> AutoEngine:
        """Another, chosen anew where the number of references asks for another kind."""
        empty = self._kind(*vectors.shape)
        if changed is not None and self._stays(empty, len(ids)):
            return replace(self, chosen=self.chosen.holding(ids, vectors, changed))
        made = empty.holding(ids, vectors)
        pays = isinstance(made, FlatEngine) or made.looked_at <= WORTH
        return replace(self, chosen=made if pays else FlatEngine(self.metric, ids, vectors), tried=len(ids))

    def _kind(self, n: int, dim: int) -> FlatEngine | ApproximateEngine:
        """What n references of so many dimensions ask for."""
        common = self.options.model_dump(include={"recall", "at_least", "seed"})
        budget = 1e9 * self.options.memory_gb
        links = HnswOptions(**common).links
        if n * dim <= EXACT_UP_TO:
            return FlatEngine(self.metric)
        if n * dim <= GRAPH_UP_TO and n * (4 * dim + 8 * links) <= budget:
            return ApproximateEngine.empty(Hnsw(HnswOptions(**common), self.metric))
        for compression, size in (("none", 4 * dim), ("sq8", dim), ("pq", codes_of(dim))):
            possible = compression == "none" or self.metric != "l1"
            if possible and n * (size + 16) <= budget:
                options = IvfOptions.model_validate({**common, "compression": compression})
                return ApproximateEngine.empty(Ivf(options, self.metric))
        return FlatEngine(self.metric)  # which takes no memory of its own, but under cosine

    def _stays(self, empty: FlatEngine | ApproximateEngine, n: int) -> bool:
        """Whether the chosen one is already of that kind, or that kind did not pay for nearly as many."""
        if isinstance(empty, FlatEngine):
            return isinstance(self.chosen, FlatEngine)
        if isinstance(self.chosen, FlatEngine):
            return n < 2 * self.tried
        return (empty.maker.name, empty.maker.options) == (self.chosen.maker.name, self.chosen.maker.options)

    def search(self, queries: FloatArray, k: int, among: IntArray | None = None) -> Hits:
        """(q, d) -> the k nearest of each query."""
        return self.chosen.search(queries, k, among)

    def within(self, queries: FloatArray, radius: float, among: IntArray | None = None) -> Hits:
        """(q, d) -> all that are at most `radius` away."""
        return self.chosen.within(queries, radius, among)

    def write(self, file: BinaryIO) -> None:
        """What the chosen one writes."""
        self.chosen.write(file)

    def opened(self, data: memoryview, ids: IntArray, vectors: FloatArray) -> AutoEngine:
        """The one that wrote these bytes."""
        empty = self._kind(*vectors.shape)
        was_flat = bytes(data[: len(FlatEngine.WRITTEN)]) == FlatEngine.WRITTEN
        chosen = (FlatEngine(self.metric) if was_flat else empty).opened(data, ids, vectors)
        return replace(self, chosen=chosen, tried=len(ids))
