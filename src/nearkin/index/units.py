"""What counts once when a class is calibrated: a group, and groups that hold copies of one image."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from nearkin.contracts import FloatArray
from nearkin.joining import joining

Unit = tuple[str, int]
"""A group's name and -1, or no name and the item that is its own group."""


def units_of(
    labels: Sequence[str], groups: Sequence[str], digests: Sequence[str], vectors: FloatArray
) -> tuple[Unit, ...]:
    """(m,) items -> (m,) units of their class: (m, d) `vectors` tell copies where one of two has no digest.

    Without copies these are the groups. Of joined ones the first in order stands for all.
    """
    own = [
        (label, group, -1 if group else item) for item, (label, group) in enumerate(zip(labels, groups, strict=True))
    ]
    called = joining([own[item] for item in items] for items in _alike(labels, digests, vectors))
    return tuple(called(unit)[1:] for unit in own)


def _alike(labels: Sequence[str], digests: Sequence[str], vectors: FloatArray) -> list[list[int]]:
    """Items of one class that show one image. Of two images with digests, equal embeddings say nothing."""
    by_digest: dict[tuple[str, str], list[int]] = defaultdict(list)
    bare: dict[tuple[str, bytes], list[int]] = defaultdict(list)
    named: dict[tuple[str, bytes], int] = {}
    some_bare = "" in digests
    for item, (label, digest) in enumerate(zip(labels, digests, strict=True)):
        if digest:
            by_digest[label, digest].append(item)
        if some_bare:
            looks = label, vectors[item].tobytes()
            if digest:
                named.setdefault(looks, item)
            else:
                bare[looks].append(item)
    for looks in bare.keys() & named.keys():
        bare[looks].append(named[looks])
    return [*by_digest.values(), *bare.values()]
