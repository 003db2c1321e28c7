"""How well unknowns stand out by the index's outlier score, and how many are flagged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from nearkin.components.evaluators.answered import Answered
from nearkin.components.evaluators.intervals import measured
from nearkin.components.evaluators.options import ResampledOptions
from nearkin.components.evaluators.promises import NO_UNKNOWN, flagged, own_p, unknown_flagged
from nearkin.components.evaluators.sweep import Sweep, Values
from nearkin.contracts import Figure, View

NO_KNOWN = "No test image of a known class may be asked about."
TPR = 0.95


@dataclass(frozen=True)
class Ranked:
    """One figure of the ranking by the outlier score."""

    name: str
    read: Callable[[Sweep], Values]
    better: Literal["higher", "lower"]
    note: str
    needs_unknown: bool = True
    chance: float | None = None
    """Left out: that of one score for everything."""


RANKED = (
    Ranked("unknown_auroc", Sweep.auroc, "higher", "the chance that an unknown is stranger than a known"),
    Ranked("unknown_aupr", Sweep.aupr_unknown, "higher", "average precision of finding unknowns, strangest first"),
    Ranked("known_aupr", Sweep.aupr_known, "higher", "average precision of finding knowns, plainest first"),
    Ranked(
        "fpr_at_95_tpr",
        lambda sweep: sweep.fpr_at_tpr(TPR),
        "lower",
        "the share of unknowns at or below the score that keeps 95% of knowns",
        chance=TPR,
    ),
    Ranked("oscr", Sweep.oscr, "higher", "area under knowns accepted and named right, over unknowns accepted"),
    Ranked(
        "aurc",
        Sweep.aurc,
        "lower",
        "the mean share of wrong answers among the plainest so many, an unknown always wrong",
        needs_unknown=False,
    ),
)


class OpenSet:
    """Asks the index about every test image, known and unknown."""

    def __init__(self, options: ResampledOptions) -> None:
        self.options = options

    def evaluate(self, view: View) -> Sequence[Figure]:
        """The ranking's figures, `unknown_flagged`, and `flagged_<class>` and `own_p_<class>` of each known class."""
        asked = Answered.ask(view, self.options.resamples)
        figures = [*ranked(asked), unknown_flagged(asked.where(asked.is_unknown))]
        for code, label in enumerate(view.classes):
            own = asked.where(asked.items.codes == code)
            figures += [flagged(label, own), own_p(label, own)]
        return figures


def ranked(asked: Answered) -> list[Figure]:
    """Every figure of the ranking that these images allow."""
    unknown = asked.is_unknown
    why_not = NO_KNOWN if unknown.all() else "" if unknown.any() else NO_UNKNOWN
    missing = {one.name: why_not if one.needs_unknown or why_not == NO_KNOWN else "" for one in RANKED}
    if all(missing.values()):
        return [Figure(one.name, None, note=missing[one.name], better=one.better) for one in RANKED]
    here = np.ones((1, len(asked)), dtype=np.int64)
    sweep, resampled = (Sweep.of(asked.scores, unknown, asked.hits, weights) for weights in (here, asked.weights()))
    return [
        Figure(one.name, None, note=missing[one.name], better=one.better)
        if missing[one.name]
        else _figure(one, asked, sweep, resampled)
        for one in RANKED
    ]


def _figure(one: Ranked, asked: Answered, sweep: Sweep, resampled: Sweep) -> Figure:
    """Wilson's interval guards the edges, with the smaller side's number of units."""
    unknown, known = asked.items.where(asked.is_unknown), asked.items.where(~asked.is_unknown)
    smaller = min(side.n_units for side in (unknown, known) if len(side))
    return measured(
        one.name,
        float(one.read(sweep)[0]),
        one.read(resampled),
        asked.items,
        effective_n=smaller,
        note=f"{one.note[0].upper()}{one.note[1:]}; {len(unknown)} unknown and {len(known)} known images.",
        details={"left_out": dict(asked.items.left_out)},
        better=one.better,
        chance=float(one.read(_all_at_one_distance(asked))[0]) if one.chance is None else one.chance,
    )


def _all_at_one_distance(asked: Answered) -> Sweep:
    """What one answer for everything would sweep: the largest class named right, nothing nearer than anything."""
    known = asked.items.codes[~asked.is_unknown]
    largest = int(np.bincount(known).max())
    return Sweep(*(np.array([[n]]) for n in (len(known), largest, len(asked) - len(known))))
