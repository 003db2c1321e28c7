"""Questions answered from one state: what is it, what is near, and what would another alpha say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nearkin.contracts import Answer, FloatArray, Metric, Neighbor
from nearkin.index import clusters
from nearkin.index.decide import Evidence
from nearkin.index.distances import HELD, distances, row_chunks
from nearkin.index.folds import scores_by_fold
from nearkin.index.inputs import Given, refuse, vector_problems
from nearkin.index.state import State


@dataclass(frozen=True)
class Asked:
    """A question: embeddings that were checked, and the state to answer from."""

    state: State
    given: Given
    """q embeddings"""
    folds: tuple[Given, ...] = ()
    """The same as each fold's model embeds them, where the calibration is cross-conformal."""

    @classmethod
    def of(cls, state: State, given: Given, folds: tuple[Given, ...] = ()) -> Asked:
        """`IndexCallError` for embeddings that this state cannot be asked about."""
        refuse(problem for each in (given, *folds) for problem in state.settings.problems(each))
        return cls(state, given, folds)

    @classmethod
    def unscored(cls, state: State, given: Given) -> Asked:
        """The same for a question of distances alone."""
        refuse(vector_problems(given.vectors, state.settings.dim, state.settings.metric))
        return cls(state, given)

    @property
    def vectors(self) -> FloatArray:
        """(q, d)"""
        return self.given.vectors

    @property
    def one(self) -> bool:
        """Whether one answer is wanted, not a list."""
        return self.given.one


def evidence(asked: Asked, *, neighbors: int, alphas: Sequence[float]) -> Evidence:
    """All that a decision rests on at any of these alphas."""
    state, vectors = asked.state, asked.vectors
    references, settings = state.references, state.settings
    k = state.scorer.nearest
    # A class may be calibrated at one alpha alone, so no alpha reaches as far as another in every class.
    reach = None if state.searcher.looks_at_all else np.maximum.reduce([state.reach(alpha) for alpha in alphas])
    found = clusters.look_up(state.searcher, vectors, k=k or 1, neighbors=neighbors, reach=reach)
    named = (settings.class_rule, references, vectors, found.nearest, found.bounded, settings.metric)
    codes = clusters.name(*named)
    found = clusters.sharpened(state.searcher, vectors, codes, found, k or 1)
    scores = scores_by_fold(state, asked.folds) or [found.kth if k else _fitted_scores(state, asked.given)]
    return Evidence(
        codes=codes,
        nearest=found.nearest,
        bounded=found.bounded | found.loose if k else found.bounded,
        strangeness=(scores[0] if len(scores) == 1 else np.mean(scores, axis=0)).min(axis=1, initial=np.inf),
        p_values=state.ranks.p_values(scores),
        neighbors=clusters.neighbors(references, found.positions, found.distances),
    )


def _fitted_scores(state: State, given: Given) -> FloatArray:
    """q embeddings -> (q, c): of the classes asked about, against all references, whichever are asked about."""
    looked_at = given.vectors if given.space is None else given.space
    return state.scorer.scores(looked_at)[:, state.scorer.searcher.references.codes_of(state.references.classes)]


def answer(asked: Asked, *, neighbors: int, alpha: float) -> list[Answer]:
    """An answer a query, each with so many neighbours."""
    if not len(asked.given):
        return []
    return asked.state.judge(alpha).decide(evidence(asked, neighbors=neighbors, alphas=[alpha]))


def within(state: State, vectors: FloatArray, radius: float) -> Iterator[tuple[Neighbor, ...]]:
    """(q, d), checked -> for each query all references at most `radius` away, nearest first, ties by id.

    Every reference is measured, whatever the engine: an approximate one could leave some out and not know it.
    """
    references = state.references
    for rows in row_chunks(len(vectors), len(references), HELD):
        for apart in _apart(vectors[rows], references.vectors, state.settings.metric):
            inside = np.flatnonzero(apart <= radius)
            order = inside[np.argsort(apart[inside], kind="stable")]
            yield from clusters.neighbors(references, order[None], apart[order][None])


def _apart(queries: FloatArray, vectors: FloatArray, metric: Metric) -> FloatArray:
    """(q, d), (n, d) -> (q, n), a part of the store at a time, as it may be larger than memory."""
    parts = row_chunks(len(vectors), vectors.shape[1], HELD)
    return np.concatenate([distances(queries, vectors[part], metric) for part in parts], axis=1)


def radius_problem(radius: Any) -> str:
    """What is wrong with a radius, or nothing."""
    is_number = isinstance(radius, (int, float, np.integer, np.floating)) and not isinstance(radius, bool)
    return "" if is_number and 0 <= radius < np.inf else f"radius {radius!r}: it is a distance, a number from 0."
