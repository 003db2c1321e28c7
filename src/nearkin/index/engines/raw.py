"""FAISS itself, loaded on first use."""

from __future__ import annotations

import os
from functools import cache
from importlib import import_module
from typing import Any

from nearkin.contracts import FloatArray, IntArray


@cache
def faiss_module() -> Any:
    """The module; untyped, as its stubs leave out much of what it has.

    A process that is forked after a search has none of the threads that OpenMP believes to be waiting, and would wait
    for them for ever: it searches on one thread.
    """
    faiss = import_module("faiss")
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=lambda: faiss.omp_set_num_threads(1))
    return faiss


def search(index: Any, queries: FloatArray, k: int, params: Any) -> tuple[FloatArray, IntArray]:
    """`index.search` with its parameters, whatever else the process has loaded: (q, d) -> (q, k) twice.

    `faiss.contrib.torch_utils`, which pytorch-metric-learning imports, puts a search in its place that takes none; the
    index's own is then called `search_numpy`.
    """
    own = getattr(index, "search_numpy", index.search)
    rough, rows = own(queries, k, params=params)
    return rough, rows
