"""FAISS itself, loaded on first use."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from nearkin.contracts import FloatArray, IntArray


def faiss_module() -> Any:
    """The module; untyped, as its stubs leave out much of what it has."""
    return import_module("faiss")


def search(index: Any, queries: FloatArray, k: int, params: Any) -> tuple[FloatArray, IntArray]:
    """`index.search` with its parameters, whatever else the process has loaded: (q, d) -> (q, k) twice.

    `faiss.contrib.torch_utils`, which pytorch-metric-learning imports, puts a search in its place that takes none; the
    index's own is then called `search_numpy`.
    """
    own = getattr(index, "search_numpy", index.search)
    rough, rows = own(queries, k, params=params)
    return rough, rows
