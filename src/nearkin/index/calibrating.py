"""A state calibrated: items checked for independence and scored, each time a new state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from nearkin.errors import IndexCallError, listing
from nearkin.index import folds, leaving_out
from nearkin.index.calibration import Calibration
from nearkin.index.independence import check_independent, check_labels, remembered
from nearkin.index.inputs import Given, refuse, text_problems
from nearkin.index.state import Fold, State


def calibrate(state: State, given: Given, named: Mapping[str, Any], alpha: float | str | None) -> tuple[State, None]:
    """The classes of these labels calibrated on these held-out items; the other classes as they were."""
    level = state.settings.level(alpha)
    state.require_references()
    refuse(
        state.settings.problems(given)
        + [problem for name, values in named.items() for problem in text_problems(name, values, len(given))]
        + ([] if len(given) else ["calibrate: no items given."])
    )
    plain: dict[str, Any] = {name: tuple(map(str, values)) for name, values in named.items()}
    none = np.zeros(len(given), dtype=np.float32)
    new = Calibration(vectors=given.vectors, scores=none, space=given.space, **plain)
    check_labels(new, state.references)
    check_independent(new, state.references, state.trained, state.reviewed, state.settings.metric)
    return _calibrated(state, "calibrate", new, level), None


def calibrate_on_references(
    state: State, labels: Iterable[str] | str | None, alpha: float | str | None
) -> tuple[State, None]:
    """The classes of these labels (all of them) calibrated on their own references, each group against the others."""
    level = state.settings.level(alpha)
    state.require_references()
    leaving_out.require_exact(state.scorer)
    references = state.references
    wanted = list(references.classes) if labels is None else [labels] if isinstance(labels, str) else list(labels)
    free = ~leaving_out.barred(references, (state.trained, state.reviewed), state.settings.metric)
    rows = references.positions("labels", wanted)
    rows = rows[free[rows]]
    new = leaving_out.of_references(references, rows)
    without = [label for label in dict.fromkeys(wanted) if label not in new.labels]
    if without:
        raise IndexCallError(
            f"leave_one_group_out: every reference of {listing(map(repr, without))} trained the model, was chosen for "
            "review, or is of such a group. Add references that are neither, or calibrate on held-out images."
        )
    leaving_out.refuse_copies(new, state.scorer)
    return _calibrated(state, "calibrate_on_references", new, level), None


def _calibrated(state: State, call: str, new: Calibration, level: float) -> State:
    """With these items, scored; the history says which classes lost theirs, and how many those were."""
    joined = state.calibration.replaced(new, {*state.references.classes})
    calibration = joined.scored(state.scorer, set(new.labels))
    changed = replace(state, calibration=calibration, folds=(), settings=replace(state.settings, alpha=level))
    left = {*joined.labels}
    gone = Counter(label for label in state.calibration.labels if label not in left)
    said = {"dropped": dict(sorted(gone.items()))} if gone else {}
    return changed.noted(call, len(new), new.labels, alpha=level, **said)


def calibrate_across(state: State, given: Sequence[Fold], alpha: float | str | None) -> tuple[State, None]:
    """All classes calibrated on folds: each model on the fold that was left out of its training."""
    level = state.settings.level(alpha)
    state.require_references()
    calibration = folds.pooled(state, given)
    settings = replace(state.settings, alpha=level)
    changed = replace(state, calibration=calibration, folds=tuple(given), settings=settings)
    return changed.noted("calibrate_across", len(calibration), calibration.labels, alpha=level), None


def recalibrate(state: State, alpha: float | str | None) -> tuple[State, None]:
    """Every calibration item scored again; items of classes that hold no reference any more wait until they do."""
    level = state.settings.level(alpha)
    state.require_references()
    calibration = _items_now(state)
    cross = calibration.way == "cross_conformal"  # whose scores are the folds' own
    scored = calibration if cross else calibration.scored(state.scorer, set(calibration.labels))
    changed = replace(state, calibration=scored, settings=replace(state.settings, alpha=level))
    return changed.noted("recalibrate", len(scored), alpha=level), None


def stale_where_barred(state: State) -> State:
    """The same once what trained or was reviewed is known better: classes that it calibrates are stale.

    Cross-conformal items are training images, each of them held out from the model that scores it.
    """
    calibration, memory, metric = state.calibration, (state.trained, state.reviewed), state.settings.metric
    if not len(calibration) or calibration.way == "cross_conformal":
        return state
    if calibration.way == "leave_one_group_out":
        references = state.references
        wrong = np.isin(calibration.origin, references.ids[leaving_out.barred(references, memory, metric)])
    else:
        wrong = np.logical_or.reduce([remembered(calibration, one, metric) for one in memory])
    labels = {calibration.labels[item] for item in np.flatnonzero(wrong).tolist()}
    return replace(state, calibration=calibration.stale(labels)) if labels else state


def _items_now(state: State) -> Calibration:
    """The calibration items, checked against the references as they are now."""
    calibration = state.calibration
    if calibration.way == "cross_conformal":
        _refuse_stale(state)
        return calibration
    if calibration.way == "leave_one_group_out":
        leaving_out.require_exact(state.scorer)
        now = leaving_out.as_they_are(calibration, state.references)
        leaving_out.refuse_barred(now, state.references, (state.trained, state.reviewed), state.settings.metric)
        leaving_out.refuse_copies(now, state.scorer)
        return replace(now, fresh=calibration.fresh, basis=calibration.basis, drawn_as=calibration.drawn_as)
    check_independent(calibration, state.references, state.trained, state.reviewed, state.settings.metric)
    return calibration


def _refuse_stale(state: State) -> None:
    """The models of the folds know nothing of references that came or went since."""
    stale = state.judge(state.settings.alpha).promise.stale
    if stale:
        raise IndexCallError(
            f"{listing(map(repr, stale))}: references changed since the folds' models were trained, and "
            "cross_conformal stands on their references. Train anew, or calibrate on held-out images: "
            "index.calibrate(images, labels)."
        )
