"""95% intervals that are honest about few images: a bootstrap over images or groups, never narrower than Wilson's.

A bootstrap (Efron 1979) resamples what was sampled: images, or groups where one holds several. It fails at the
edge: where 66 of 66 are right every replicate says 1.0, so its interval has no width. Wilson's score interval
(Wilson 1927) stays honest there, but knows only of independent trials. The interval given is the wider of the two.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from nearkin.components.evaluators.askable import SPANNING, Askable
from nearkin.contracts import Figure

if TYPE_CHECKING:
    from nearkin.contracts import IntArray

Z_95 = NormalDist().inv_cdf(0.975)


def wilson(successes: float, n: float) -> tuple[float, float]:
    """Wilson's 95% score interval of a share: (0, 1) where n is 0. Wilson 1927, JASA 22:209."""
    if n == 0:
        return 0.0, 1.0
    share, z2 = successes / n, Z_95**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z_95 / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half))


def graded_n(scores: NDArray[np.float64], units: IntArray) -> float:
    """How many yes-or-no trials are as uncertain as these (q,) scores in [0, 1], units counting as one each.

    A score between 0 and 1 varies less than a trial of the same mean. One 0 and one 1 are added, so that equal scores
    are not certain.
    """
    _, place = np.unique(units, return_inverse=True)
    means = np.bincount(place, scores) / np.bincount(place)
    smoothed = np.r_[means, 0.0, 1.0]
    return float(len(means) * smoothed.mean() * (1 - smoothed.mean()) / smoothed.var())


def resample(items: Askable, resamples: int, rng: np.random.Generator, *, distinct: int = 1) -> IntArray:
    """Bootstrap draws: (resamples, n) how often each item was drawn.

    Within each class as many units are drawn, with replacement, as it has alone, and as many of those that span
    classes as there are; a unit brings all its items, so that what it does to one class it does to all. A class with
    fewer than `distinct` different units in a draw has its own drawn again (what is measured would not exist there);
    where it has too few of its own, missing ones are added to that draw.
    """
    units, unit_of = np.unique(items.units, return_inverse=True)
    drawn = np.zeros((resamples, len(units)), dtype=np.int64)
    _draw(drawn, items.strata == SPANNING, rng)
    for code in np.unique(items.codes):
        own, members = items.strata == code, np.unique(unit_of[items.codes == code])
        _draw(drawn, own, rng)
        needed = min(distinct, len(members))
        while (short := np.count_nonzero(drawn[:, members], axis=1) < needed).any():
            if own.sum() >= needed:
                _draw(drawn, own, rng, short)
            else:
                _add_missing(drawn, np.flatnonzero(short), members, needed, rng)
    return drawn[:, unit_of]


def _draw(
    drawn: IntArray, units: NDArray[np.bool_], rng: np.random.Generator, resamples: NDArray[np.bool_] | None = None
) -> None:
    """Fill in (resamples, u) how often each of these units is drawn, as many of them as there are; in place."""
    n, rows = int(units.sum()), np.arange(len(drawn)) if resamples is None else np.flatnonzero(resamples)
    if n:
        drawn[np.ix_(rows, np.flatnonzero(units))] = rng.multinomial(n, np.full(n, 1 / n), size=len(rows))


def _add_missing(drawn: IntArray, rows: IntArray, members: IntArray, distinct: int, rng: np.random.Generator) -> None:
    """Give these draws of (resamples, u) so many different members, in place."""
    for row in rows:
        missing = members[drawn[row, members] == 0]
        drawn[row, rng.permutation(missing)[: distinct - (len(members) - len(missing))]] = 1


def corrected(value: float, replicates: NDArray[np.float64], items: Askable) -> NDArray[np.float64]:
    """Replicates moved so that their mean is the estimate, and spread by what a bootstrap of few units lacks.

    Draws with repeats bias some figures, hence the move. The degrees of freedom are units less strata: classes, and
    one more where units span them.
    """
    spread = widening(items.n_units, len(np.unique(items.strata)))
    moved: NDArray[np.float64] = value + spread * (replicates - replicates.mean())
    return moved


def widening(n: int, strata: int) -> float:
    """What a bootstrap of n units in so many strata lacks: sqrt(n / f) t_f / z, with f = n - strata.

    Hesterberg 2015, "What teachers should know about the bootstrap".
    """
    from scipy.special import stdtrit  # Student's quantiles; scipy.stats takes long to import.

    freedom = max(1, n - strata)
    return float(math.sqrt(n / freedom) * stdtrit(freedom, 0.975) / Z_95)


def interval(value: float, replicates: NDArray[np.float64], n: float) -> tuple[float, float]:
    """The wider of the bootstrap's percentile interval and Wilson's for n units, within [0, 1].

    `replicates` are corrected already. n is how many independent units stand behind the value.
    """
    low, high = np.clip(np.percentile(replicates, [2.5, 97.5]), 0.0, 1.0)
    return at_least_wilson(value, float(low), float(high), n)


def at_least_wilson(value: float, low: float, high: float, n: float) -> tuple[float, float]:
    """The wider of an interval and Wilson's for n units."""
    wilson_low, wilson_high = wilson(value * n, n)
    return (wilson_low, wilson_high) if wilson_high - wilson_low > high - low else (low, high)


def measured(
    name: str,
    value: float,
    replicates: NDArray[np.float64],
    items: Askable,
    *,
    n: int | None = None,
    effective_n: float | None = None,
    note: str = "",
    details: Mapping[str, Any] | None = None,
    better: Literal["higher", "lower"] | None = None,
    chance: float | None = None,
) -> Figure:
    """A figure in [0, 1] with its interval, from the replicates as they were drawn.

    `n` units stand behind it (left out: all of the items'); `effective_n` is what Wilson's interval is told
    instead, where they do not weigh the same.
    """
    units = items.n_units if n is None else n
    replicates = corrected(value, replicates, items)
    low, high = interval(value, replicates, units if effective_n is None else effective_n)
    return Figure(
        name=name,
        value=float(value),
        low=low,
        high=high,
        n=units,
        resampled=items.resampled,
        note=note,
        details=details or {},
        better=better,
        chance=chance,
        replicates=tuple(replicates.tolist()),
    )


def share(
    name: str,
    hits: NDArray[np.bool_],
    weights: IntArray,
    items: Askable,
    *,
    note: str = "",
    details: Mapping[str, Any] | None = None,
    better: Literal["higher", "lower"] | None = None,
    chance: float | None = None,
) -> Figure:
    """The share of items that are hits: (n,), and (resamples, n) how often each item was drawn."""
    replicates = weights @ hits / weights.sum(axis=1)
    return measured(
        name, float(hits.mean()), replicates, items, note=note, details=details, better=better, chance=chance
    )
