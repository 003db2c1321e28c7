"""How well unknowns stand out, and whether known images are flagged as rarely as alpha promises."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nearkin.components.evaluators.askable import Askable, askable
from nearkin.components.evaluators.intervals import measured, resample, share
from nearkin.components.evaluators.options import ResampledOptions
from nearkin.contracts import Answer, Figure, Promise, View

if TYPE_CHECKING:
    from nearkin.contracts import IntArray

NO_UNKNOWN = "No test image of an unknown class may be asked about."
NO_KNOWN = "No test image of a known class may be asked about."


class OpenSet:
    """Asks the index about every test image, known and unknown."""

    def __init__(self, options: ResampledOptions) -> None:
        self.options = options

    def evaluate(self, view: View) -> Sequence[Figure]:
        """`unknown_auroc`, `unknown_flagged`, and `flagged_<class>` and `own_p_<class>` of each known class."""
        items = askable(view)
        if not len(items):
            names = [f"{kind}_{label}" for label in view.classes for kind in ("flagged", "own_p")]
            return [Figure(name, None, note=NO_KNOWN) for name in ("unknown_auroc", "unknown_flagged", *names)]
        answers: list[Answer] = view.index.query(view.embeddings[items.rows])
        is_unknown = items.codes == len(view.classes)
        figures = [
            self._auroc(view, items, is_unknown, answers),
            self._unknown_flagged(view, items, is_unknown, answers),
        ]
        for code, label in enumerate(view.classes):
            own = np.flatnonzero(items.codes == code)
            own_answers = [answers[i] for i in own]
            figures.append(self._flagged(view, label, items.where(own), own_answers))
            figures.append(self._own_p(view, label, items.where(own), own_answers))
        return figures

    def _auroc(self, view: View, items: Askable, is_unknown: NDArray[np.bool_], answers: Sequence[Answer]) -> Figure:
        """AUROC of the distance to the nearest reference, unknowns positive.

        It is the chance that an unknown lies farther out than a known, so Wilson's interval guards it at 1.0 too,
        with the smaller side's number of units.
        """
        from sklearn.metrics import roc_auc_score

        name = "unknown_auroc"
        if is_unknown.all() or not is_unknown.any():
            return Figure(name, None, note=NO_KNOWN if is_unknown.all() else NO_UNKNOWN)
        scores = np.array([min(answer.distances.values()) for answer in answers])
        value = float(roc_auc_score(is_unknown, scores))
        replicates = weighted_auroc(scores, is_unknown, self._weights(view, items))
        unknown, known = items.where(is_unknown), items.where(~is_unknown)
        note = f"Distance to the nearest reference; {len(unknown)} unknown against {len(known)} known images."
        smaller = min(unknown.n_units, known.n_units)
        details = {"left_out": dict(items.left_out)}
        return measured(
            name,
            value,
            replicates,
            items,
            effective_n=smaller,
            note=note,
            details=details,
            better="higher",
            chance=0.5,
        )

    def _unknown_flagged(
        self, view: View, items: Askable, is_unknown: NDArray[np.bool_], answers: Sequence[Answer]
    ) -> Figure:
        """The share of unknown images that are called unknown; a coin that keeps the promise calls alpha of them so."""
        name = "unknown_flagged"
        if not is_unknown.any():
            return Figure(name, None, note=NO_UNKNOWN)
        uncalibrated = reasons(answers[0].promise, view.classes)
        if len(uncalibrated) == len(view.classes):
            return Figure(name, None, note="; ".join(uncalibrated))
        unknown = items.where(is_unknown)
        flagged = np.array([answer.status == "unknown" for answer in answers])[is_unknown]
        weights = self._weights(view, unknown)
        note, alpha = "; ".join([f"{len(unknown)} images", *uncalibrated]) + ".", answers[0].promise.alpha
        return share(name, flagged, weights, unknown, note=note, better="higher", chance=alpha)

    def _flagged(self, view: View, label: str, own: Askable, answers: Sequence[Answer]) -> Figure:
        """The share of a known class's images that are called unknown."""
        name = f"flagged_{label}"
        why_not = unmeasurable(label, answers)
        if why_not:
            return Figure(name, None, note=why_not)
        flagged = np.array([answer.status == "unknown" for answer in answers])
        return share(name, flagged, self._weights(view, own), own, note=f"{len(own)} images.")

    def _own_p(self, view: View, label: str, own: Askable, answers: Sequence[Answer]) -> Figure:
        """The share of a known class's images whose own p-value is at most alpha, beside what is to be expected.

        One image a group: images of one group are not exchangeable with calibration groups, one image is.
        """
        name = f"own_p_{label}"
        why_not = unmeasurable(label, answers)
        if why_not:
            return Figure(name, None, note=why_not)
        first = np.unique(own.units, return_index=True)[1]
        one_each, promise = own.where(first), answers[0].promise
        low_p = np.array([answers[i].p_values[label] <= promise.alpha for i in first])
        details = expected_range(promise.alpha, promise.groups[label], len(first))
        details["inside"] = bool(details["low"] <= low_p.mean() <= details["high"])
        each = "images" if len(first) == len(own) else "groups, one image of each"
        weights = self._weights(view, one_each)
        return share(name, low_p, weights, one_each, note=f"{len(first)} {each}.", details=details)

    def _weights(self, view: View, items: Askable) -> IntArray:
        """(resamples, n) how often each item was drawn."""
        return resample(items, self.options.resamples, np.random.default_rng([view.seed, 2]))


def reasons(promise: Promise, classes: Sequence[str]) -> list[str]:
    """Why the classes that promise nothing do so, one sentence a class."""
    bare = [label for label in classes if label not in promise.groups or label in promise.uncalibrated]
    return [f"class {label!r} is uncalibrated: {promise.uncalibrated.get(label, 'not calibrated')}" for label in bare]


def unmeasurable(label: str, answers: Sequence[Answer]) -> str:
    """Why the class's flagged share cannot be measured, or nothing."""
    if not answers:
        return f"No test image of class {label!r} may be asked about."
    return "".join(reasons(answers[0].promise, [label]))


def weighted_auroc(scores: NDArray[Any], positive: NDArray[np.bool_], weights: IntArray) -> NDArray[np.float64]:
    """AUROC of each resample: (n,) scores, (n,) positive, (resamples, n) -> (resamples,). Ties count a half.

    The same as scikit-learn's `roc_auc_score(sample_weight=...)`, for all resamples at once.
    """
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(scores[order]) > 0])
    above = np.add.reduceat((weights * positive)[:, order], starts, axis=1)  # (resamples, different scores)
    below = np.add.reduceat((weights * ~positive)[:, order], starts, axis=1)
    wins = (above * (np.cumsum(below, axis=1) - below / 2)).sum(axis=1)
    aurocs: NDArray[np.float64] = wins / (above.sum(axis=1) * below.sum(axis=1))
    return aurocs


def expected_range(alpha: float, n_calibration: int, m: int) -> dict[str, Any]:
    """The exact central 95% range of the share of m test images with p at most alpha, were all exchangeable."""
    from nearkin.index.alphas import false_flags

    found = false_flags(alpha, n_calibration, m)
    return {
        "low": found.low,
        "high": found.high,
        "expected": found.expected,
        "alpha": alpha,
        "n_calibration": n_calibration,
        "m": m,
    }
