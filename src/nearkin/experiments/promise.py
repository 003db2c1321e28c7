"""The promise measured: own p-values of new images over many random draws, by any score and any way of calibrating.

For embeddings that can be learned again in each draw. Every draw parts the images anew into those that train, those
that calibrate and those that are asked about; an own p-value is that of an asked image for its own class.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nearkin.contracts import Answer, Embedded, FloatArray, IntArray, ScoreChoice, Way
from nearkin.index import Index

Learn: TypeAlias = Callable[[FloatArray, Sequence[str]], Callable[[FloatArray], FloatArray]]
"""(n, p) images as rows of numbers and their labels -> what embeds (m, p) as (m, d)."""


Ask: TypeAlias = Callable[[FloatArray], Sequence[Answer]]


@dataclass(frozen=True)
class Material:
    """Labelled images, each of a group of its own, and how an embedding of them is learned."""

    name: str
    rows: FloatArray
    """(n, p)"""
    labels: tuple[str, ...]
    learn: Learn
    train: int
    """Images a class; in the way cross_conformal, which needs no others, `train + calibrate` train."""
    calibrate: int
    asked: int
    folds: int = 5


def own_p_values(
    material: Material,
    *,
    score: ScoreChoice | Mapping[str, Any] | str = "knn",
    way: Way = "held_out",
    draws: int,
    on_trained: bool = False,
) -> dict[str, NDArray[np.float64]]:
    """(draws, asked) per class. `on_trained`: what calibrates trained the embedding too, and the index is not told."""
    found: dict[str, list[list[float]]] = {label: [] for label in sorted(set(material.labels))}
    for draw in range(draws):
        train, held, asked = _parted(material, np.random.default_rng(draw))
        if way == "cross_conformal":
            folded = _across(material, np.concatenate([train, held]), score, np.random.default_rng([draw, 1]))
            answers = folded(material.rows[asked])
        else:
            answers = _at_once(material, train, held, score, way, on_trained)(material.rows[asked])
        for label in found:
            own = [a.p_values[label] for a, row in zip(answers, asked, strict=True) if material.labels[row] == label]
            found[label].append(own)
    return {label: np.array(values) for label, values in found.items()}


def _parted(material: Material, rng: np.random.Generator) -> tuple[IntArray, IntArray, IntArray]:
    """Rows that train, calibrate and are asked about: so many of each class."""
    ends = np.cumsum([material.train, material.calibrate, material.asked])
    labels = np.array(material.labels)
    drawn = [rng.permutation(np.flatnonzero(labels == label))[: ends[-1]] for label in sorted(set(material.labels))]
    parts = [np.split(rows, ends[:-1]) for rows in drawn]
    train, held, asked = (np.concatenate(part) for part in zip(*parts, strict=True))
    return train, held, asked


def _at_once(material: Material, train: IntArray, held: IntArray, score: Any, way: Way, on_trained: bool) -> Ask:
    """One embedding; the held rows calibrate it, or are references that calibrate each other."""
    embed = _learnt(material, np.concatenate([train, held]) if on_trained else train)
    index = _references(material, train, embed, score)
    labels = [material.labels[row] for row in held]
    if way == "held_out":
        index.calibrate(embed(material.rows[held]), labels)
    else:
        index.add(embed(material.rows[held]), labels)
        index.calibrate_on_references()
    return lambda rows: index.query(embed(rows))


def _across(material: Material, train: IntArray, score: Any, rng: np.random.Generator) -> Ask:
    """An embedding a fold, learned without it, and one of everything."""
    fold = np.empty(len(train), dtype=np.int64)
    labels = np.array([material.labels[row] for row in train])
    for label in sorted(set(material.labels)):
        mine = rng.permutation(np.flatnonzero(labels == label))
        fold[mine] = np.arange(len(mine)) % material.folds
    embeds, indexes = [], []
    for number in range(material.folds):
        kept, left = train[fold != number], train[fold == number]
        embeds.append(_learnt(material, kept))
        indexes.append(_references(material, kept, embeds[-1], score))
        indexes[-1].calibrate(embeds[-1](material.rows[left]), [material.labels[row] for row in left])
    own = _learnt(material, train)
    index = _references(material, train, own, score).calibrate_across(indexes)
    return lambda rows: index.query(Embedded(own(rows), folds=tuple(Embedded(embed(rows)) for embed in embeds)))


def _learnt(material: Material, rows: IntArray) -> Callable[[FloatArray], FloatArray]:
    embed = material.learn(material.rows[rows], [material.labels[row] for row in rows])
    return lambda images: np.asarray(embed(images), dtype=np.float32)


def _references(material: Material, rows: IntArray, embed: Callable[[FloatArray], FloatArray], score: Any) -> Index:
    vectors = embed(material.rows[rows])
    index = Index(metric="l2", class_rule="nearest", dim=vectors.shape[1], score=score)
    index.add(vectors, [material.labels[row] for row in rows], trained=True)
    return index
