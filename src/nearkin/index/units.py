"""What counts once when a class is calibrated: a group, and groups that hold copies of one image."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from nearkin.contracts import FloatArray

Unit = tuple[str, int]
"""A group's name and -1, or no name and the item that is its own group."""


def units_of(
    labels: Sequence[str], groups: Sequence[str], digests: Sequence[str], vectors: FloatArray
) -> tuple[Unit, ...]:
    """(m,) items -> (m,) units of their class: (m, d) `vectors` tell copies where one of two has no digest.

    Without copies these are the groups. Of joined ones the first in order stands for all.
    """
    own = [(group, -1 if group else item) for item, group in enumerate(groups)]
    joined: dict[tuple[str, Unit], Unit] = {}

    def root(label: str, unit: Unit) -> Unit:
        while (label, unit) in joined:
            unit = joined[label, unit]
        return unit

    first: dict[Hashable, int] = {}
    for item, mark in _marks(labels, digests, vectors):
        other = first.setdefault(mark, item)
        label = labels[item]
        one, two = sorted((root(label, own[item]), root(label, own[other])))
        if one != two:
            joined[label, two] = one
    return tuple(root(label, unit) for label, unit in zip(labels, own, strict=True))


def _marks(labels: Sequence[str], digests: Sequence[str], vectors: FloatArray) -> list[tuple[int, Hashable]]:
    """Items with what only copies of one image share. Of images with digests, equal embeddings say nothing."""
    marks: list[tuple[int, Hashable]] = [
        (item, (label, digest)) for item, (label, digest) in enumerate(zip(labels, digests, strict=True)) if digest
    ]
    bare = [item for item, digest in enumerate(digests) if not digest]
    alike = {(labels[item], vectors[item].tobytes()): item for item in reversed(bare)}
    marks += [(item, ("bare", labels[item], vectors[item].tobytes())) for item in bare]
    seen = set()
    for item, digest in enumerate(digests):
        key = (labels[item], vectors[item].tobytes()) if digest and bare else None
        if key in alike and key not in seen:  # the first of that embedding: two named images of it are two images
            seen.add(key)
            marks.append((item, ("bare", *key)))
    return marks
