"""Flags: how many images are called unknown, and whether known ones are as rarely as alpha promises."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nearkin.components.evaluators.answered import Answered
from nearkin.components.evaluators.intervals import share
from nearkin.contracts import Figure, Promise, Way

NO_UNKNOWN = "No test image of an unknown class may be asked about."


def unknown_flagged(unknown: Answered) -> Figure:
    """The share of unknown images that are called unknown; a coin that keeps the promise calls alpha of them so."""
    name = "unknown_flagged"
    if not len(unknown):
        return Figure(name, None, note=NO_UNKNOWN, better="higher")
    promise, classes = unknown.answers[0].promise, unknown.view.classes
    bare = uncalibrated(promise, classes)
    if len(bare) == len(classes):
        return Figure(name, None, note="; ".join(bare), better="higher", chance=promise.alpha)
    note = "; ".join([f"{len(unknown)} images", *bare]) + "."
    weights, chance = unknown.weights(), promise.alpha
    return share(name, unknown.flagged, weights, unknown.items, note=note, better="higher", chance=chance)


def flagged(label: str, own: Answered) -> Figure:
    """The share of a known class's images that are called unknown."""
    name = f"flagged_{label}"
    why_not = unmeasurable(label, own)
    if why_not:
        return Figure(name, None, note=why_not)
    return share(name, own.flagged, own.weights(), own.items, note=f"{len(own)} images.")


def own_p(label: str, own: Answered) -> Figure:
    """The share of a known class's images whose own p-value is at most alpha, beside what is to be expected.

    One image a group: images of one group are not exchangeable with calibration groups, one image is.
    """
    from nearkin.index.calibration import fits

    name = f"own_p_{label}"
    why_not = unmeasurable(label, own)
    if why_not:
        return Figure(name, None, note=why_not)
    one_each = own.where(np.unique(own.items.units, return_index=True)[1])
    promise = own.answers[0].promise
    low_p = ~fits(np.array([answer.p_values[label] for answer in one_each.answers]), promise.alpha)
    details = expected_range(
        promise.alpha, promise.groups[label], len(one_each), way=promise.way or "held_out", folds=promise.folds
    )
    if details["exact"]:
        details["inside"] = bool(details["low"] <= low_p.mean() <= details["high"])
    each = "images" if len(one_each) == len(own) else "groups, one image of each"
    note = f"{len(one_each)} {each}."
    return share(name, low_p, one_each.weights(), one_each.items, note=note, details=details)


def uncalibrated(promise: Promise, classes: Sequence[str]) -> list[str]:
    """Why the classes that promise nothing do so, one sentence a class."""
    bare = [label for label in classes if label not in promise.groups or label in promise.uncalibrated]
    return [f"class {label!r} is uncalibrated: {promise.uncalibrated.get(label, 'not calibrated')}" for label in bare]


def unmeasurable(label: str, own: Answered) -> str:
    """Why the class's flagged share cannot be measured, or nothing."""
    if not len(own):
        return f"No test image of class {label!r} may be asked about."
    return "".join(uncalibrated(own.answers[0].promise, [label]))


def expected_range(
    alpha: float, n_calibration: int, m: int, *, way: Way = "held_out", folds: int = 0
) -> dict[str, Any]:
    """What share of m test images is to have p at most alpha, were all exchangeable with what calibrated.

    With the central 95% range, where `exact`; by other ways than held out `expected` bounds the mean, without a range.
    """
    from nearkin.index.alphas import false_flags

    found = false_flags(alpha, n_calibration, m, way=way, folds=folds)
    said = {"expected": found.expected, "alpha": alpha, "n_calibration": n_calibration, "m": m, "exact": found.exact}
    return {"low": found.low, "high": found.high, **said} if found.exact else said
