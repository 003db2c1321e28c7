"""The reference store: labelled embeddings, the truth that caches are rebuilt from. Never changed, only replaced.

Its arrays may lie in a file that is mapped into memory: it may be larger than memory, and costs none that is private.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearkin.contracts import FloatArray, IntArray
from nearkin.errors import did_you_mean, listing
from nearkin.index.inputs import LARGEST_ID, Given, id_problems, label_problems, refuse, text_problems
from nearkin.index.settings import Settings
from nearkin.index.space import no_rows, rows_of, stacked
from nearkin.index.texts import Coded, Packed

TEXTS = ("labels", "groups", "sources", "digests")


@dataclass(frozen=True, eq=False)
class References:
    """n references in the order of their ids, so that ties by position are ties by id."""

    vectors: FloatArray
    """(n, d)"""
    ids: IntArray
    """(n,) ascending."""
    labels: Coded
    groups: Coded
    """Empty text: a group of its own."""
    sources: Packed
    digests: Packed
    """Empty text: given as an embedding, so the image cannot be recognised."""
    trained: NDArray[np.bool_]
    """(n,) whether it trained the model."""
    next_id: int = 0
    """Ids are not given twice, not even after a removal."""
    space: FloatArray | None = None
    """(n, e) in the outlier score's own space, where it has one."""

    def __post_init__(self) -> None:
        for array in (self.vectors, self.ids, self.trained, self.space):
            if array is not None:
                array.flags.writeable = False

    @classmethod
    def empty(cls, dim: int, space_dim: int | None = None) -> References:
        """None yet."""
        vectors, ids = np.zeros((0, dim), dtype=np.float32), np.zeros(0, dtype=np.int64)
        none: tuple[str, ...] = ()
        texts = (Coded.of(none), Coded.of(none), Packed.of(none), Packed.of(none))
        return cls(vectors, ids, *texts, np.zeros(0, dtype=bool), space=no_rows(space_dim))

    def __len__(self) -> int:
        return len(self.ids)

    # ------------------------------------------------------------------------------------------ clusters

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """(c,) the labels there are, sorted."""
        return self.labels.words

    @property
    def codes(self) -> NDArray[np.int32]:
        """(n,) each label's place in `classes`."""
        return self.labels.codes

    @cached_property
    def code_of(self) -> dict[str, int]:
        """A label's place in `classes`."""
        return {label: code for code, label in enumerate(self.classes)}

    def codes_of(self, labels: Iterable[str]) -> IntArray:
        """(m,) labels that there are -> (m,) their places in `classes`."""
        return np.array([self.code_of[label] for label in labels], dtype=np.int64)

    @cached_property
    def by_class(self) -> IntArray:
        """(n,) positions, those of one class side by side, in the order of `classes`."""
        return np.argsort(self.codes, kind="stable")

    def of_class(self, code: int) -> IntArray:
        """(m,) positions of one class's references."""
        return self.by_class[self.starts[code] : self.starts[code] + self.counts[code]]

    @cached_property
    def counts(self) -> IntArray:
        """(c,) references a class."""
        return np.bincount(self.codes, minlength=len(self.classes)).astype(np.int64)

    @cached_property
    def class_sizes(self) -> dict[str, int]:
        """References a class, by its label."""
        return dict(zip(self.classes, self.counts.tolist(), strict=True))

    @cached_property
    def starts(self) -> IntArray:
        """(c,) where each class begins in `by_class`."""
        return (np.cumsum(self.counts) - self.counts).astype(np.int64)

    @cached_property
    def means(self) -> NDArray[np.float64]:
        """(c, d) the mean embedding of each class."""
        sums = np.add.reduceat(self.vectors[self.by_class].astype(np.float64), self.starts, axis=0)
        means: NDArray[np.float64] = sums / self.counts[:, None]
        return means

    # ------------------------------------------------------------------------------------------- changes

    def added(
        self, given: Given, *, labels: Sequence[str], groups: Sequence[str], sources: Sequence[str],
        digests: Sequence[str], trained: Sequence[bool], trained_digests: Set[str], ids: Sequence[int] | None,
        settings: Settings,
    ) -> tuple[References, list[int]]:  # fmt: skip
        """These and m more; and the ids of the new ones, in the order given. All problems are raised at once."""
        n = len(given)
        new_ids = list(range(self.next_id, self.next_id + n) if ids is None else ids)
        texts = dict(zip(TEXTS, (labels, groups, sources, digests), strict=True))
        refuse(
            settings.problems(given)
            + [problem for name, values in texts.items() for problem in text_problems(name, values, n)]
            + label_problems("labels", labels)
            + id_problems(new_ids, n, self.ids)
        )
        flags = [bool(flag) or digest in trained_digests for flag, digest in zip(trained, digests, strict=True)]
        return self._joined(given, np.array(new_ids, dtype=np.int64), texts, np.array(flags, dtype=bool))

    def _joined(
        self, given: Given, ids: IntArray, texts: Mapping[str, Sequence[str]], trained: NDArray[np.bool_]
    ) -> tuple[References, list[int]]:
        joined = References(
            vectors=np.concatenate([self.vectors, given.vectors]),
            ids=np.concatenate([self.ids, ids]),
            trained=np.concatenate([self.trained, trained]),
            next_id=max(self.next_id, min(int(ids.max(initial=-1)) + 1, LARGEST_ID)),
            space=stacked([self.space, given.space]),
            **{name: getattr(self, name).joined(texts[name]) for name in TEXTS},
        )
        in_order = bool((np.diff(joined.ids) > 0).all())
        return joined if in_order else joined.take(np.argsort(joined.ids)), ids.tolist()

    def positions(self, what: str, wanted: Iterable[Any]) -> IntArray:
        """(m,) positions of the `ids`, `labels` or `groups` wanted; each one that is not there is an error."""
        asked = list(dict.fromkeys(wanted))
        if what == "ids":
            return self._positions_of_ids(asked)
        texts: Coded = getattr(self, what)
        names = texts.distinct() - ({""} if what == "groups" else set())
        missing = [name for name in asked if name not in names]
        refuse(f"{what}: the index holds no {name!r}.{did_you_mean(str(name), names)}" for name in missing)
        return np.flatnonzero(texts.among(asked))

    def _positions_of_ids(self, asked: Sequence[int]) -> IntArray:
        there = np.isin([one if 0 <= one <= LARGEST_ID else -1 for one in asked], self.ids)
        missing = [str(one) for one, found in zip(asked, there, strict=True) if not found]
        refuse([f"ids: the index holds no {listing(missing)}."] if missing else [])
        return np.flatnonzero(np.isin(self.ids, np.array(asked, dtype=np.int64)))

    def relabelled(self, positions: IntArray, to: str) -> References:
        """All, those at (m,) positions under the label `to`."""
        return replace(self, labels=self.labels.with_text(positions, to))

    def without(self, positions: IntArray) -> References:
        """All but those at (m,) positions."""
        keep = np.ones(len(self), dtype=bool)
        keep[positions] = False
        return self.take(np.flatnonzero(keep))

    def take(self, positions: IntArray) -> References:
        """Those at (m,) positions, in that order."""
        columns: dict[str, Any] = {name: getattr(self, name).take(positions) for name in TEXTS}
        columns |= {name: getattr(self, name)[positions] for name in ("vectors", "ids", "trained")}
        return replace(self, space=rows_of(self.space, positions), **columns)
