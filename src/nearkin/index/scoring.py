"""Scores of embeddings for every class: taken from the engine's search, or fitted on the references."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from nearkin.contracts import FittedScore, FloatArray, IntArray, Score
from nearkin.errors import NearkinError, PluginError
from nearkin.index.clusters import kth_outside_group, look_up, own_kth
from nearkin.index.distances import HELD, row_chunks
from nearkin.index.searcher import Searcher
from nearkin.index.space import FittedSpace, Space


@dataclass(frozen=True, eq=False)
class Scorer:
    """One score over one state of the references."""

    searcher: Searcher
    score: Score
    name: str
    """The score's, as a reason says it."""
    space: Space | None = None
    """Where it looks; `None` for the embedding. What is scored is given as it lies there."""

    @property
    def nearest(self) -> int | None:
        """k, where the score is taken from the engine's search."""
        return None if self.space else self.score.nearest

    @property
    def per_class(self) -> bool:
        """Whether a class's scores rest on its own references alone."""
        if self.space:
            return self.score.nearest is not None and not self.space.standardize
        return self.score.nearest is not None and self.searcher.engine.exact

    @property
    def basis(self) -> str:
        """What its scores rest on besides the references: scores of another basis do not compare."""
        exact = self.nearest is None or self.searcher.engine.exact
        return self.name if exact else f"{self.name} by the engine {self.searcher.engine.fingerprint}"

    @cached_property
    def able(self) -> frozenset[str]:
        """The classes that hold enough references to be scored."""
        sizes = self.searcher.references.class_sizes
        return frozenset(label for label, n in sizes.items() if n >= self.score.fewest)

    def scores(self, queries: FloatArray) -> FloatArray:
        """(q, d) -> (q, c), a column a class of the references; infinite for those that are not `able`."""
        if self.nearest is not None:
            return look_up(self.searcher, queries, k=self.nearest).kth
        references = self.searcher.references
        scores = np.full((len(queries), len(references.classes)), np.inf, dtype=np.float32)
        for rows in row_chunks(len(queries), self._looked_at.size, HELD) if self.able else ():
            placed = self._placed(queries[rows]) if self._placed else queries[rows]
            scores[rows, self._columns] = self._checked(self._fitted, placed)
        return scores

    def own(self, vectors: FloatArray, labels: Sequence[str]) -> FloatArray:
        """(m, d) items of these labels, all able -> (m,) each one's score for its own class."""
        columns = self.searcher.references.codes_of(labels)
        if self.nearest is not None:
            return own_kth(self.searcher, vectors, columns, self.nearest)
        own: FloatArray = self.scores(vectors)[np.arange(len(labels)), columns]
        return own

    @cached_property
    def able_left_out(self) -> frozenset[str]:
        """The classes that can be scored without any one of their groups."""
        references = self.searcher.references
        pairs, sizes = np.unique(
            np.stack([references.codes, references.groups.codes])[:, ~references.groups.among([""])],
            axis=1, return_counts=True,
        )  # fmt: skip
        largest = np.ones(len(references.classes), dtype=np.int64)
        np.maximum.at(largest, pairs[0], sizes)
        left = references.counts - largest
        return frozenset(label for label, n in zip(references.classes, left, strict=True) if n >= self.score.fewest)

    def own_left_out(
        self, vectors: FloatArray, labels: Sequence[str], groups: Sequence[str], ids: IntArray
    ) -> FloatArray:
        """(m, e) references of these labels, groups and ids -> (m,) the score of each, its own group left out.

        Of the scores that are a distance to a neighbour that is surely found, where nothing is fitted on the
        references: no other only shrinks as points join.
        """
        assert self.score.nearest is not None, "asked beforehand"
        columns = self.searcher.references.codes_of(labels)
        metric = self.space.metric if self.space else self.searcher.metric
        items = (vectors, columns, groups, ids)
        return kth_outside_group(self.searcher.references, self._looked_at, metric, *items, self.score.nearest)

    @cached_property
    def _columns(self) -> slice | IntArray:
        """Of the able classes among all."""
        classes = self.searcher.references.classes
        able = np.array([column for column, label in enumerate(classes) if label in self.able], dtype=np.int64)
        return slice(None) if len(able) == len(classes) else able

    @property
    def _looked_at(self) -> FloatArray:
        """(n, d) the references where the score looks, as they were given."""
        references = self.searcher.references
        return references.vectors if references.space is None else references.space

    @cached_property
    def _placed(self) -> FittedSpace | None:
        """What brings vectors of a space of its own to how they are compared."""
        return self.space.fitted(self._looked_at) if self.space else None

    @cached_property
    def _fitted(self) -> FittedScore:
        references = self.searcher.references
        columns = np.arange(len(references.classes))[self._columns]
        rows = np.isin(references.codes, columns)
        codes = np.searchsorted(columns, references.codes[rows])
        vectors = self._looked_at[rows]
        placed = self._placed(vectors) if self._placed else vectors
        fitted: FittedScore = self._call(self.score.fit, placed, codes)
        return fitted

    def _checked(self, fitted: FittedScore, queries: FloatArray) -> FloatArray:
        """What was fitted, held to its contract."""
        scores = np.asarray(self._call(fitted, queries), dtype=np.float32)
        wanted = (len(queries), len(self.able))
        if scores.shape != wanted:
            raise PluginError(f"the score {self.name} gave an array of shape {scores.shape}; it must be {wanted}.")
        if not np.isfinite(scores).all():
            raise PluginError(f"the score {self.name} gave NaN or infinite numbers; it must be finite.")
        return scores

    def _call(self, function: Any, *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except NearkinError:
            raise
        # A plugin's score may raise anything.
        except Exception as error:
            raise PluginError(f"the score {self.name} broke: {type(error).__name__}: {error}.") from error
