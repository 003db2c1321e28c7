"""A state calibrated: held-out items checked for independence and scored, each time a new state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from nearkin.index.calibration import Calibration
from nearkin.index.independence import check_independent, check_labels
from nearkin.index.inputs import Given, refuse, text_problems, vector_problems
from nearkin.index.state import State


def calibrate(state: State, given: Given, named: Mapping[str, Any], alpha: float | str | None) -> tuple[State, None]:
    """The classes of these labels calibrated on these items; the other classes as they were."""
    level = state.settings.level(alpha)
    state.require_references()
    refuse(
        vector_problems(given.vectors, state.settings.dim, state.settings.metric)
        + [problem for name, values in named.items() for problem in text_problems(name, values, len(given))]
        + ([] if len(given) else ["calibrate: no items given."])
    )
    plain: dict[str, Any] = {name: tuple(map(str, values)) for name, values in named.items()}
    new = Calibration(vectors=given.vectors, scores=np.zeros(len(given), dtype=np.float32), **plain)
    check_labels(new, state.references)
    check_independent(new, state.references, state.trained, state.settings.metric)
    settings = replace(state.settings, alpha=level)
    scored = state.calibration.replaced(new).scored(state.scorer, set(new.labels))
    changed = replace(state, calibration=scored, settings=settings)
    return changed.noted("calibrate", len(given), plain["labels"], alpha=settings.alpha), None


def recalibrate(state: State, alpha: float | str | None) -> tuple[State, None]:
    """Every calibration item scored again; items of classes that hold no reference any more wait until they do."""
    level = state.settings.level(alpha)
    state.require_references()
    calibration = state.calibration
    check_independent(calibration, state.references, state.trained, state.settings.metric)
    scored = calibration.scored(state.scorer, set(calibration.labels))
    changed = replace(state, calibration=scored, settings=replace(state.settings, alpha=level))
    return changed.noted("recalibrate", len(scored), alpha=level), None
