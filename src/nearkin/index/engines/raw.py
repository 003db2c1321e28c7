"""FAISS itself, loaded on first use."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from importlib import import_module
from typing import Any, TypeVar

from nearkin.contracts import FloatArray, IntArray

T = TypeVar("T")
R = TypeVar("R")


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


def on_threads(work: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """Each item worked on, on as many threads as FAISS may use, which does its own work on one of them each.

    So what is no FAISS runs side by side too. The threads end with the call: a fork after it finds none.
    """
    faiss = faiss_module()
    threads = min(faiss.omp_get_max_threads(), len(items))
    if threads <= 1:
        return [work(item) for item in items]
    alone = partial(faiss.omp_set_num_threads, 1)  # OpenMP keeps the number for each thread that asks
    with ThreadPoolExecutor(threads, initializer=alone) as pool:
        return list(pool.map(work, items))
