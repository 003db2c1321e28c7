"""Keys of rows in a collection: as runs of numbers in a row, on disk and in Milvus's filters."""

from __future__ import annotations

import json

import numpy as np

from nearkin.contracts import IntArray

FORMAT = "nearkin milvus engine 2"
"""In the first, keys were ids, and a collection was changed in place."""
MOST_TERMS = 5_000
"""Of one filter expression: ranges and single keys."""
MOST = 2**63 - 1
"""A key, in Milvus."""


def runs(keys: IntArray) -> list[tuple[int, int]]:
    """(n,) -> first and length of each run that counts up by one, in order."""
    starts = np.flatnonzero(np.diff(keys, prepend=keys[:1] - 2) != 1)
    lengths = np.diff(starts, append=len(keys))
    return [*zip(keys[starts].tolist(), lengths.tolist(), strict=True)]


def expressions(keys: IntArray) -> list[str]:
    """Filters that let through (m,) keys, ascending, and no other."""
    found = runs(keys)
    return [_expression(found[at : at + MOST_TERMS]) for at in range(0, len(found), MOST_TERMS)]


def _expression(some: list[tuple[int, int]]) -> str:
    single = [first for first, length in some if length == 1]
    parts = [f"({first} <= id and id <= {first + length - 1})" for first, length in some if length > 1]
    return " or ".join(parts + ([f"id in {single}"] if single else []))


def written_keys(collection: str | None, keys: IntArray) -> bytes:
    """The collection's name and (n,) keys, in the order of ids."""
    return json.dumps({"format": FORMAT, "collection": collection, "keys": runs(keys)}).encode()


def read_keys(data: memoryview, n: int) -> tuple[str, IntArray] | None:
    """What was written for n references; `None` for any other bytes."""
    try:
        said = json.loads(bytes(data))
        name, parts = said["collection"], [(first, length) for first, length in said["keys"]]
        whole = said["format"] == FORMAT and isinstance(name, str) and all(type(i) is int for run in parts for i in run)
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    if not whole or any(first < 0 or length < 1 or first + length > MOST for first, length in parts):
        return None
    if not n or sum(length for _, length in parts) != n:  # before memory is taken
        return None
    keys = np.concatenate([np.arange(first, first + length, dtype=np.int64) for first, length in parts])
    return (name, keys) if len(np.unique(keys)) == n else None
