"""Folds of a cross-conformal calibration: what each model makes of a query, and which folds go together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nearkin.contracts import Embedded, FloatArray
from nearkin.errors import IndexCallError, listing
from nearkin.index.calibration import Calibration
from nearkin.index.inputs import Given, OnEmbed, read, refuse
from nearkin.index.state import Fold, State


def read_for_each(state: State, images: object, on_embed: OnEmbed) -> tuple[Given, tuple[Given, ...]]:
    """What was asked, as the index's own model embeds it, and as each fold's does."""
    own = _read(state, images, on_embed)
    if isinstance(images, Embedded) and len(images.folds) == len(state.folds):
        return own, tuple(_read(fold.state, part) for fold, part in zip(state.folds, images.folds, strict=True))
    if len(own) and (isinstance(images, Embedded) or not any(own.digests)):
        raise IndexCallError(
            f"an embedding alone: this index is calibrated cross-conformally, and each of its {len(state.folds)} fold "
            "models has to see the image itself. Give images, or what run.embed_each(images) gives."
        )
    return own, tuple(_read(fold.state, images) for fold in state.folds)


def _read(state: State, images: object, on_embed: OnEmbed = None) -> Given:
    given = read(images, state.settings.dim, state.model.embed, on_embed)
    return given if state.settings.space else replace(given, space=None)


def scores_by_fold(state: State, asked: Sequence[Given]) -> list[FloatArray]:
    """q queries by each fold's model -> (q, c) each by that fold's references; infinite for a class it has none of."""
    found = []
    for fold, given in zip(state.folds if asked else (), asked, strict=True):
        code_of = fold.state.references.code_of
        own = fold.state.scorer.scores(given.vectors if given.space is None else given.space)
        columns = [code_of.get(label) for label in state.references.classes]
        infinite = np.full(len(own), np.inf, dtype=np.float32)
        found.append(np.stack([infinite if code is None else own[:, code] for code in columns], axis=1))
    return found


def pooled(state: State, folds: Sequence[Fold]) -> Calibration:
    """The folds' items, each with the score that its own fold's model gave it, as one calibration of the state.

    `IndexCallError` names all that keeps the folds from going together.
    """
    parts = [fold.state.calibration for fold in folds]
    problems = [problem for number, fold in enumerate(folds, start=1) for problem in _problems(state, number, fold)]
    if len(folds) < 2:
        problems.append("cross_conformal: give two folds or more.")
    problems += straddling(parts)
    refuse(problems)
    joined = replace(parts[0], way="cross_conformal", fresh=frozenset())
    for number, part in enumerate(parts[1:], start=1):
        fold = np.full(len(part), number, dtype=np.int64)
        joined = joined.joined(replace(part, way="cross_conformal", origin=fold, fresh=frozenset()))
    fresh = frozenset(joined.labels) - {label for part in parts for label in {*part.labels} - part.fresh}
    return replace(joined, fresh=fresh, basis=state.scorer.basis)


def _problems(state: State, number: int, fold: Fold) -> list[str]:
    """What is wrong with one of the folds."""
    theirs, ours = fold.state.settings, state.settings
    strange = sorted({*fold.state.calibration.labels} - {*state.references.classes})
    missing = sorted({*state.references.classes} - {*fold.state.references.classes})
    found = {
        f"compares by {theirs.metric}, and the index by {ours.metric}": theirs.metric != ours.metric,
        f"scores by {theirs.said_score}, and the index by {ours.said_score}": theirs.said_score != ours.said_score,
        "scores in another space than the index": theirs.space != ours.space,
        f"embeds in {theirs.dim} dimensions, and the index in {ours.dim}": theirs.dim != ours.dim,
        "is not calibrated on held-out images": not len(fold.state.calibration)
        or fold.state.calibration.way != "held_out",
        f"calibrates {listing(map(repr, strange))}, of which the index holds no reference": bool(strange),
        f"holds no reference of {listing(map(repr, missing))}": bool(missing),
    }
    return [f"cross_conformal: fold {number} {problem}." for problem, is_so in found.items() if is_so]


def straddling(parts: Sequence[Calibration]) -> list[str]:
    """Groups and images that stand in several folds: one fold's model has seen what calibrates another's."""
    found: list[str] = []
    for what in ("groups", "digests"):
        held = Counter(text for part in parts for text in {*getattr(part, what)} - {""})
        twice = sorted(text for text, n in held.items() if n > 1)
        found += [f"cross_conformal: {what} that stand in several folds: {listing(twice)}."] if twice else []
    return found
