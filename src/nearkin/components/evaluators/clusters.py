"""How well the nearest cluster names the class: accuracy, recall a class, confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nearkin.components.evaluators.askable import Askable, askable
from nearkin.components.evaluators.intervals import measured, resample, share
from nearkin.components.evaluators.options import ResampledOptions
from nearkin.contracts import Answer, Figure, View

if TYPE_CHECKING:
    from nearkin.contracts import IntArray

FIGURES = ("cluster_accuracy", "balanced_accuracy")


class Clusters:
    """Asks the index about every test image. The label counts whatever the status; the matrix shows both."""

    def __init__(self, options: ResampledOptions) -> None:
        self.options = options

    def evaluate(self, view: View) -> Sequence[Figure]:
        """`cluster_accuracy`, `balanced_accuracy`, and `recall_<class>` of each known class.

        One answer for everything gets the largest class's share of images right, and one class's recall to 1.
        """
        items = askable(view)
        answers: list[Answer] = view.index.query(view.asked(items.rows)) if len(items) else []
        details = {"left_out": dict(items.left_out), **confusion(view.classes, items, answers)}
        is_known = items.codes < len(view.classes)
        known = items.where(is_known)
        if not len(known):
            note = "No test image of a known class may be asked about."
            names = [*FIGURES, *(f"recall_{label}" for label in view.classes)]
            return [Figure(name, None, note=note, details=details, better="higher") for name in names]
        labels = np.array([answer.label for answer in answers])[is_known]
        hits = labels == np.array(view.classes)[known.codes]
        rng = np.random.default_rng([view.seed, 2])
        weights = resample(known, self.options.resamples, rng)
        largest, note = float(np.bincount(known.codes).max() / len(known)), f"{len(known)} images."
        accuracy = share(FIGURES[0], hits, weights, known, note=note, details=details, better="higher", chance=largest)
        recalls = [_recall(label, code, hits, weights, known) for code, label in enumerate(view.classes)]
        return [accuracy, balanced(recalls, hits, weights, known), *recalls]


def _recall(label: str, code: int, hits: NDArray[np.bool_], weights: IntArray, known: Askable) -> Figure:
    """`recall_<class>` over the class's images."""
    own = known.codes == code
    name = f"recall_{label}"
    if not own.any():
        return Figure(name, None, note=f"No test image of class {label!r} may be asked about.", better="higher")
    return share(name, hits[own], weights[:, own], known.where(own), note=f"{own.sum()} images.", better="higher")


def balanced(recalls: Sequence[Figure], hits: NDArray[np.bool_], weights: IntArray, known: Askable) -> Figure:
    """The mean of the classes' recalls, so that each class weighs the same.

    Wilson's n is that of one share as uncertain as the mean of c shares: c^2 / sum(1 / n_c).
    """
    missing = [figure.note for figure in recalls if figure.value is None]
    if missing:
        return Figure(FIGURES[1], None, note=" ".join(missing), better="higher")
    own = known.codes[:, None] == np.arange(len(recalls))  # (n, c)
    replicates = (((weights * hits) @ own) / (weights @ own)).mean(axis=1)
    value = float(np.mean([figure.value for figure in recalls]))
    effective_n = len(recalls) ** 2 / sum(1 / figure.n for figure in recalls)
    return measured(
        FIGURES[1],
        value,
        replicates,
        known,
        effective_n=effective_n,
        note="Mean of the classes' recalls.",
        better="higher",
        chance=1 / len(recalls),
    )


def confusion(classes: Sequence[str], items: Askable, answers: Sequence[Answer]) -> dict[str, Any]:
    """Counts by true class (rows; all unknowns in the last) and answer (columns; the last is status unknown).

    An ambiguous or uncalibrated answer counts under its label, and a second time in `ambiguous` or
    `uncalibrated`, (rows,) each.
    """
    counts = np.zeros((len(classes) + 1, len(classes) + 1), dtype=np.int64)
    apart = {"ambiguous": np.zeros(len(counts), dtype=np.int64), None: np.zeros(len(counts), dtype=np.int64)}
    column_of = {label: column for column, label in enumerate(classes)}
    for row, answer in zip(items.codes, answers, strict=True):
        column = len(classes) if answer.status == "unknown" else column_of[answer.label]
        counts[row, column] += 1
        if answer.status in apart:
            apart[answer.status][row] += 1
    return {
        "rows": [*classes, _apart("(unknown)", classes)],
        "columns": [*classes, _apart("unknown", classes)],
        "confusion": counts.tolist(),
        "ambiguous": apart["ambiguous"].tolist(),
        "uncalibrated": apart[None].tolist(),
    }


def _apart(heading: str, classes: Sequence[str]) -> str:
    """A heading that no class has."""
    return _apart(f"({heading})", classes) if heading in classes else heading
