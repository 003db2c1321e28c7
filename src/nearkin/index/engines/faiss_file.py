"""A FAISS index in a file: written through Python's own file handling, read within limits.

FAISS's `write_index` to a full disk may return as if nothing happened; a Python file raises.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from nearkin.contracts import IntArray
from nearkin.index.engines.raw import faiss_module

HEADER = 256
"""Bytes: one line of JSON, filled up with spaces."""
TYPES: Mapping[str, frozenset[bytes]] = {"hnsw": frozenset([b"IHNf"]), "ivf": frozenset([b"IwFl", b"IwSq", b"IwPQ"])}
"""The first four bytes of the FAISS indexes that each kind of engine writes. FAISS itself would read any of its some
sixty types, and build whatever they ask for."""
LIMITS = threading.Lock()
"""FAISS's limits hold for the whole process."""


@dataclass(frozen=True)
class Read:
    """What a file held."""

    index: Any | None
    rows: IntArray
    gone: IntArray


def write_built(file: BinaryIO, kind: str, index: Any | None, rows: IntArray, gone: IntArray) -> None:
    """The kind, the rows, and FAISS's own bytes where there is an index."""
    faiss = faiss_module()
    said = {"engine": kind, "built": index is not None, "rows": len(rows) if index else 0, "gone": len(gone)}
    file.write((json.dumps(said).ljust(HEADER - 1) + "\n").encode())
    if index is None:
        return
    for numbers in (rows, gone):
        file.write(np.ascontiguousarray(numbers, dtype=np.int64).data)
    faiss.write_index(index, faiss.PyCallbackIOWriter(file.write))


def read_built(data: memoryview, kind: str) -> Read | None:
    """What `write_built` wrote of this kind, checked so far that no search can leave its memory; else `None`."""
    try:
        said = json.loads(bytes(data[:HEADER]))
        n_rows, n_gone = int(said["rows"]), int(said["gone"])
        if said["engine"] != kind or min(n_rows, n_gone) < 0 or len(data) < HEADER + 8 * (n_rows + n_gone):
            return None
        numbers = np.frombuffer(data[HEADER : HEADER + 8 * (n_rows + n_gone)], dtype=np.int64)
        rows, gone = numbers[:n_rows], numbers[n_rows:]
        if not _ascend(rows) or not _ascend(gone) or (n_gone and not 0 <= gone[0] <= gone[-1] < n_rows):
            return None
        if said["built"] and bytes(data[HEADER + 8 * len(numbers) :][:4]) not in TYPES[kind]:
            return None
        index = _read_faiss(data[HEADER + 8 * len(numbers) :]) if said["built"] else None
    except (ValueError, TypeError, LookupError, RuntimeError, AssertionError, MemoryError):
        return None
    return Read(index, rows, gone) if index is None or _is_sound(index, n_rows) else None


def _ascend(numbers: IntArray) -> bool:
    return bool((np.diff(numbers) > 0).all())


def _read_faiss(data: memoryview) -> Any:
    faiss = faiss_module()
    place = 0

    def piece(size: int) -> bytes:
        nonlocal place
        found = bytes(data[place : place + size])
        place += len(found)
        return found

    with _limited(len(data)):
        return faiss.read_index(faiss.PyCallbackIOReader(piece))


@contextmanager
def _limited(size: int) -> Iterator[None]:
    """No vector of an index is larger than its file."""
    faiss = faiss_module()
    with LIMITS:
        before = faiss.get_deserialization_vector_byte_limit(), faiss.get_deserialization_loop_limit()
        faiss.set_deserialization_vector_byte_limit(size)
        faiss.set_deserialization_loop_limit(size)
        try:
            yield
        finally:
            faiss.set_deserialization_vector_byte_limit(before[0])
            faiss.set_deserialization_loop_limit(before[1])


def _is_sound(index: Any, n: int) -> bool:
    """Whether every number that a search follows stays inside."""
    faiss = faiss_module()
    if index.ntotal != n or not index.is_trained:
        return False
    if isinstance(index, faiss.IndexIVF):
        return _lists_hold(index, n)
    return isinstance(index, faiss.IndexHNSW) and _graph_holds(index.hnsw, n)


def _lists_hold(index: Any, n: int) -> bool:
    """Each row once, in lists of the size that their codes have."""
    faiss = faiss_module()
    lists = faiss.downcast_InvertedLists(index.invlists)
    if lists.nlist != index.nlist or lists.code_size != index.code_size or index.quantizer.ntotal != index.nlist:
        return False
    sizes = [lists.list_size(number) for number in range(lists.nlist)]
    if sum(sizes) != n:
        return False
    rows = [faiss.rev_swig_ptr(lists.get_ids(number), size) for number, size in enumerate(sizes) if size]
    seen = np.sort(np.concatenate(rows)) if rows else np.zeros(0, dtype=np.int64)
    return bool(np.array_equal(seen, np.arange(n)))


def _graph_holds(graph: Any, n: int) -> bool:
    """Links lead to rows, and each row's own lie where they should."""
    faiss = faiss_module()
    links, offsets = faiss.vector_to_array(graph.neighbors), faiss.vector_to_array(graph.offsets)
    levels, per_level = faiss.vector_to_array(graph.levels), faiss.vector_to_array(graph.cum_nneighbor_per_level)
    if len(offsets) != n + 1 or len(levels) != n or not n:
        return False
    if (links < -1).any() or (links >= n).any() or not 0 <= graph.entry_point < n:
        return False
    if levels.min() < 1 or levels.max() >= len(per_level) or graph.max_level != levels[graph.entry_point] - 1:
        return False
    steps = np.diff(per_level)
    return bool((steps >= 0).all() and not offsets[0] and np.array_equal(np.diff(offsets), per_level[levels])
                and offsets[-1] == len(links))  # fmt: skip
