"""The price of an alpha: how many known images it flags, and how many answers it sends to a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nearkin.contracts import Way
from nearkin.index.answering import Asked, evidence
from nearkin.index.calibration import fits, worst_share
from nearkin.index.decide import Evidence
from nearkin.index.review_load import ReviewLoad
from nearkin.index.state import State

ALPHAS = (0.01, 0.02, 0.05, 0.10, 0.15, 0.20, 0.30)


@dataclass(frozen=True)
class FalseFlags:
    """How many of a class's own images have a p-value of at most alpha, as a share.

    So many are flagged unknown at the most: an image that fits another class is ambiguous instead. Where two scores
    may be equal it is less.
    """

    expected: float
    """On average over draws, or at most that: see `false_flags`."""
    exact: bool
    """Whether it is that on average; else it is at most that."""
    low: float | None
    high: float | None
    """The central 95% range of the share among so many `images`, one of each group; `None` where none is proven."""
    images: int
    groups: int
    """Calibration groups of the class."""


@dataclass(frozen=True)
class AlphaRow:
    """One alpha of the table."""

    alpha: float
    false_flags: Mapping[str, FalseFlags]
    """By class, where an image of its own could be flagged at all."""
    cannot_flag: Mapping[str, str]
    """The other classes, each with the reason."""
    load: ReviewLoad | None
    """Of the queries given; `None` where none were."""


def alpha_table(state: State, alphas: Sequence[float], images: int, asked: Asked | None) -> list[AlphaRow]:
    """One row an alpha, in the order given, all from the same stored scores."""
    levels = [float(alpha) for alpha in alphas]
    found = evidence(asked, neighbors=1, alphas=levels) if levels and asked and len(asked.given) else None
    loads = [None if asked is None else _load(state, alpha, found) for alpha in levels]
    return [_row(state, alpha, images, load) for alpha, load in zip(levels, loads, strict=True)]


def _load(state: State, alpha: float, found: Evidence | None) -> ReviewLoad:
    return ReviewLoad.of(state.judge(alpha).decide(found) if found else ())


def _row(state: State, alpha: float, images: int, load: ReviewLoad | None) -> AlphaRow:
    promise = state.judge(alpha).promise
    able = {label: n for label, n in promise.groups.items() if label not in promise.uncalibrated}
    way = promise.way or "held_out"
    flags = {label: false_flags(alpha, n, images, way=way, folds=promise.folds) for label, n in able.items()}
    return AlphaRow(alpha, flags, dict(promise.uncalibrated), load)


def rejected_ranks(alpha: float, n: int) -> int:
    """floor(alpha (n + 1)): how many of the n + 1 possible p-values k / (n + 1) are at most alpha.

    Compared as the index compares, so that neither a rounded product (0.29 * 100 < 29) nor a rounded alpha (1 - 0.9)
    moves it.
    """
    nearest = round(alpha * (n + 1))
    return nearest - 1 if fits(np.array(nearest / (n + 1)), alpha) else nearest


def false_flags(alpha: float, groups: int, images: int, *, way: Way = "held_out", folds: int = 0) -> FalseFlags:
    """The share of m new images with p at most alpha, given n calibration groups.

    held_out: all are exchangeable, so the count is BetaBinomial(m, l, n + 1 - l) with l = floor(alpha (n + 1)), and
    l / (n + 1) its mean share: Angelopoulos & Bates 2023, "Conformal prediction: a gentle introduction", on checking
    for correct coverage.

    leave_one_group_out: each p-value is as large as the exact one or larger (`leaving_out`), so the mean is at most
    l / (n + 1). How the m images vary together is another matter: they are ranked among scores that would be other
    ones with each of them among the references. No range is proven.

    cross_conformal: the mean is at most what `worst_share` says, about 2 alpha, of so many folds; no range is proven.
    """
    ranks = rejected_ranks(alpha, groups)
    expected = ranks / (groups + 1)
    if not ranks:
        return FalseFlags(0.0, True, 0.0, 0.0, images, groups)
    if way != "held_out":
        most = expected if way == "leave_one_group_out" else worst_share(alpha, groups, folds)
        return FalseFlags(most, False, None, None, images, groups)
    from scipy.stats import betabinom

    low, high = betabinom.ppf([0.025, 0.975], images, ranks, groups + 1 - ranks)
    return FalseFlags(expected, True, float(low) / images, float(high) / images, images, groups)
