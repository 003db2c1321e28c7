"""An index checked against itself: what loading confirms, and what only working it out again can."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from nearkin.errors import IndexCallError, listing
from nearkin.index import folds, leaving_out
from nearkin.index.independence import check_independent
from nearkin.index.state import State

ASKED = 100
"""References that are asked about; more would show little more."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    what: str
    problem: str
    """Empty where all is well."""


def verify(state: State) -> Iterator[Check]:
    """Checks of a state that was loaded, so that hashes, types and shapes are confirmed already."""
    yield Check("calibration items are independent of what trained and of the references", _dependent(state))
    if state.folds:
        for number, fold in enumerate(state.folds, start=1):
            yield from (replace(check, what=f"fold {number}: {check.what}") for check in verify(fold.state))
        return
    yield Check("stored calibration scores are those of these references", _scores(state))
    yield Check("the engine finds references at distance 0 of themselves", _found(state))


def _dependent(state: State) -> str:
    calibration, memory, metric = state.calibration, (state.trained, state.reviewed), state.settings.metric
    fresh = calibration.taken([item for item, label in enumerate(calibration.labels) if label in calibration.fresh])
    try:
        if calibration.way == "cross_conformal":
            return " ".join(folds.straddling([fold.state.calibration for fold in state.folds]))
        if calibration.way == "leave_one_group_out":
            leaving_out.refuse_barred(fresh, state.references, memory, metric)
        else:
            check_independent(fresh, state.references, *memory, metric)
    except IndexCallError as error:
        return str(error)
    return ""


def _scores(state: State) -> str:
    calibration = state.calibration
    if calibration.basis != state.scorer.basis:
        return ""  # stale, and answers say so
    again = calibration.scored(state.scorer, set(calibration.fresh))
    same = np.isclose(again.scores, calibration.scores, rtol=1e-4)  # fitted scores differ in last digits by machine
    fresh = np.array([label in calibration.fresh for label in calibration.labels], dtype=bool)
    wrong = sorted({calibration.labels[item] for item in np.flatnonzero(fresh & ~same)})
    return f"the scores of {listing(map(repr, wrong))} are others. Recalibrate." if wrong else ""


def _found(state: State) -> str:
    references = state.references
    rows = np.unique(np.linspace(0, len(references) - 1, min(ASKED, len(references)), dtype=np.int64))
    if not len(rows):
        return ""
    _, apart = state.searcher.search(references.vectors[rows], 1)
    lost = references.ids[rows[apart[:, 0] > 0]]
    return f"not of {listing(map(str, lost.tolist()))}." if len(lost) else ""
