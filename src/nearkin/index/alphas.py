"""The price of an alpha: how many known images it flags, and how many answers it sends to a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nearkin.index.answering import Asked, evidence
from nearkin.index.decide import Evidence
from nearkin.index.review_load import ReviewLoad
from nearkin.index.state import State

ALPHAS = (0.01, 0.02, 0.05, 0.10, 0.15, 0.20, 0.30)


@dataclass(frozen=True)
class FalseFlags:
    """How many of a class's own images have a p-value of at most alpha, as a share.

    So many are flagged unknown at the most: an image that fits another class is ambiguous instead. Exact for
    held-out calibration where no two scores are equal; with equal ones it is less.
    """

    expected: float
    """On average over draws: floor(alpha (n + 1)) / (n + 1) for n calibration groups."""
    low: float
    high: float
    """The central 95% range of the share among so many `images`, one of each group."""
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
    least = float(min(alphas, default=state.settings.alpha))
    found = evidence(asked, neighbors=1, alpha=least) if asked and len(asked.given) else None
    loads = [None if asked is None else _load(state, float(alpha), found) for alpha in alphas]
    return [_row(state, float(alpha), images, load) for alpha, load in zip(alphas, loads, strict=True)]


def _load(state: State, alpha: float, found: Evidence | None) -> ReviewLoad:
    return ReviewLoad.of(state.judge(alpha).decide(found) if found else ())


def _row(state: State, alpha: float, images: int, load: ReviewLoad | None) -> AlphaRow:
    promise = state.judge(alpha).promise
    able = {label: n for label, n in promise.groups.items() if label not in promise.uncalibrated}
    flags = {label: false_flags(alpha, n, images) for label, n in able.items()}
    return AlphaRow(alpha, flags, dict(promise.uncalibrated), load)


def rejected_ranks(alpha: float, n: int) -> int:
    """floor(alpha (n + 1)): how many of the n + 1 possible p-values k / (n + 1) are at most alpha.

    Compared as the index compares, so that a rounded product (0.29 * 100 < 29) does not move it.
    """
    nearest = round(alpha * (n + 1))
    return nearest if nearest / (n + 1) <= alpha else nearest - 1


def false_flags(alpha: float, groups: int, images: int) -> FalseFlags:
    """The share of m new images with p at most alpha, all exchangeable with n calibration groups.

    The count is BetaBinomial(m, l, n + 1 - l) with l = floor(alpha (n + 1)): Angelopoulos & Bates 2023,
    "Conformal prediction: a gentle introduction", on checking for correct coverage.
    """
    from scipy.stats import betabinom

    ranks = rejected_ranks(alpha, groups)
    low, high = betabinom.ppf([0.025, 0.975], images, ranks, groups + 1 - ranks) if ranks else (0.0, 0.0)
    return FalseFlags(ranks / (groups + 1), float(low) / images, float(high) / images, images, groups)
