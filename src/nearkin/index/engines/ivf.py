"""Inverted lists as FAISS has them: what they are built of, how they are searched, what they cannot do."""

from __future__ import annotations

from typing import Any

import numpy as np

from nearkin.contracts import FloatArray, IntArray, Metric
from nearkin.errors import IndexCallError
from nearkin.index.engines.flat import faiss_metric, prepared
from nearkin.index.engines.options import IvfOptions
from nearkin.index.engines.raw import faiss_module

TO_LEARN = 64
"""References a list that its centre is learnt from; FAISS warns below 39."""
FEWEST = 39
ADDED = 2**17
"""References added at a time; from 128,000 on FAISS compares by matrix products."""
REFINED = {"none": 1, "sq8": 2, "pq": 20}
"""How many times more candidates a compressed search finds than it is asked for, to be measured from the store."""


class Ivf:
    """References sorted into lists by k-means (Sivic & Zisserman 2003; Jegou et al. 2011 for the codes)."""

    name = "ivf"

    def __init__(self, options: IvfOptions, metric: Metric) -> None:
        if metric == "l1" and options.compression != "none":
            # FAISS builds such an index, and fails only when it is searched.
            raise IndexCallError(
                f"engine 'ivf': compression {options.compression!r} cannot compare by l1. Use compression: none."
            )
        self.options = options
        self.metric = metric

    @property
    def refined(self) -> int:
        """Candidates to measure again for each one asked for."""
        return REFINED[self.options.compression]

    def fewest(self, dim: int) -> int:
        """References that it can be built of."""
        codes = 256 * FEWEST if self.options.compression == "pq" else 1
        return max(self.options.at_least, FEWEST * (self.options.lists or 1), codes)

    def build(self, vectors: FloatArray) -> Any:
        """(n, d) -> a FAISS index of them, numbered from 0."""
        n, dim = vectors.shape
        index = self._untrained(dim, self._lists(n))
        index.cp.seed = self.options.seed + 1
        index.cp.max_points_per_centroid = TO_LEARN
        rng = np.random.default_rng(self.options.seed)
        learnt_from = np.sort(rng.choice(n, min(n, max(TO_LEARN * index.nlist, 2**16)), replace=False))
        index.train(prepared(vectors[learnt_from], self.metric))
        for start in range(0, n, ADDED):
            index.add(prepared(vectors[start : start + ADDED], self.metric))
        index.nprobe = min(self.options.probes or 1, index.nlist)
        return index

    def _lists(self, n: int) -> int:
        wanted = self.options.lists or 2 ** round(np.log2(2 * np.sqrt(n)))
        return int(min(wanted, n // FEWEST))

    def _untrained(self, dim: int, lists: int) -> Any:
        faiss = faiss_module()
        compared = faiss_metric(self.metric)
        by_angle = self.metric == "cosine"
        centres = faiss.IndexFlatIP(dim) if by_angle else faiss.IndexFlatL2(dim)  # k-means knows no l1
        if self.options.compression == "sq8":
            made = faiss.IndexIVFScalarQuantizer(centres, dim, lists, faiss.ScalarQuantizer.QT_8bit, compared)
        elif self.options.compression == "pq":
            made = faiss.IndexIVFPQ(centres, dim, lists, codes_of(dim), 8, compared)
        else:
            made = faiss.IndexIVFFlat(centres, dim, lists, compared)
        made.cp.spherical = by_angle
        return made

    def params(self, index: Any, selector: Any | None, effort: int | None = None) -> Any:
        """What a search is told."""
        faiss = faiss_module()
        return faiss.SearchParametersIVF(sel=selector, nprobe=effort or index.nprobe)

    def most_effort(self, index: Any) -> int:
        """At which it looks at everything."""
        return int(index.nlist)

    def looked_at(self, index: Any) -> float:
        """The share of all references that a search looks at."""
        return float(index.nprobe / index.nlist)

    def set_effort(self, index: Any, effort: int) -> None:
        """For all searches to come."""
        index.nprobe = effort

    @property
    def fixed_effort(self) -> int | None:
        """As the options say; `None`: to be found out."""
        return self.options.probes

    def is_own(self, index: Any) -> bool:
        """Whether an index that was read is one that these options build."""
        faiss = faiss_module()
        kind = {"none": faiss.IndexIVFFlat, "sq8": faiss.IndexIVFScalarQuantizer, "pq": faiss.IndexIVFPQ}
        if type(index) is not kind[self.options.compression] or index.metric_type != faiss_metric(self.metric):
            return False
        centres = faiss.downcast_index(index.quantizer)
        same_lists = isinstance(centres, faiss.IndexFlat) and centres.ntotal == index.nlist and centres.d == index.d
        return bool(same_lists and 1 <= index.nprobe <= index.nlist)

    def learnt(self, index: Any) -> list[IntArray | FloatArray]:
        """What decides which references a search proposes."""
        faiss = faiss_module()
        centres = faiss.downcast_index(index.quantizer)
        return [faiss.vector_to_array(centres.codes), np.array([index.nprobe])]


def codes_of(dim: int) -> int:
    """Product codes a reference: one for every four numbers, or the nearest count that divides them."""
    wanted = max(1, dim // 4)
    return max(count for count in range(1, wanted + 1) if dim % count == 0)
