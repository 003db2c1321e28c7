"""A graph of neighbours as FAISS has it: what it is built of, how it is searched."""

from __future__ import annotations

from typing import Any

import numpy as np

from nearkin.contracts import FloatArray, IntArray, Metric
from nearkin.index.engines.flat import faiss_metric, prepared
from nearkin.index.engines.options import HnswOptions
from nearkin.index.engines.raw import faiss_module

ADDED = 2**16
MOST_EFFORT = 2**13
"""Beyond this, looking at everything is quicker."""


class Hnsw:
    """Hierarchical navigable small worlds (Malkov & Yashunin 2018), uncompressed: l1 over codes aborts FAISS."""

    name = "hnsw"
    refined = 1

    def __init__(self, options: HnswOptions, metric: Metric) -> None:
        self.options = options
        self.metric = metric

    def fewest(self, dim: int) -> int:
        """References that it can be built of."""
        return self.options.at_least

    def build(self, vectors: FloatArray) -> Any:
        """(n, d) -> a FAISS index of them, numbered from 0."""
        faiss = faiss_module()
        index = faiss.IndexHNSWFlat(vectors.shape[1], self.options.links, faiss_metric(self.metric))
        index.hnsw.efConstruction = self.options.build_effort
        index.hnsw.rng = faiss.RandomGenerator(self.options.seed + 12345)
        for start in range(0, len(vectors), ADDED):
            index.add(prepared(vectors[start : start + ADDED], self.metric))
        index.hnsw.efSearch = self.options.effort or 16
        return index

    def params(self, index: Any, selector: Any | None, effort: int | None = None) -> Any:
        """What a search is told."""
        faiss = faiss_module()
        return faiss.SearchParametersHNSW(sel=selector, efSearch=effort or index.hnsw.efSearch)

    def most_effort(self, index: Any) -> int:
        """At which it looks at as much as is worth it."""
        return int(min(MOST_EFFORT, max(16, index.ntotal)))

    def looked_at(self, index: Any) -> float:
        """The share of all references that a search looks at, at the most: each candidate's links."""
        return float(min(1.0, 2 * self.options.links * index.hnsw.efSearch / max(1, index.ntotal)))

    def set_effort(self, index: Any, effort: int) -> None:
        """For all searches to come."""
        index.hnsw.efSearch = effort

    @property
    def fixed_effort(self) -> int | None:
        """As the options say; `None`: to be found out."""
        return self.options.effort

    def is_own(self, index: Any) -> bool:
        """Whether an index that was read is one that these options build."""
        faiss = faiss_module()
        if type(index) is not faiss.IndexHNSWFlat or index.metric_type != faiss_metric(self.metric):
            return False
        flat = faiss.downcast_index(index.storage)
        return isinstance(flat, faiss.IndexFlat) and flat.ntotal == index.ntotal and flat.d == index.d

    def learnt(self, index: Any) -> list[IntArray | FloatArray]:
        """What decides which references a search proposes."""
        faiss = faiss_module()
        return [faiss.vector_to_array(index.hnsw.neighbors), np.array([index.hnsw.efSearch])]
