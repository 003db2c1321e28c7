"""Test images beside what the index answered about them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nearkin.components.evaluators.askable import Askable, askable
from nearkin.components.evaluators.intervals import resample
from nearkin.contracts import Answer, View

if TYPE_CHECKING:
    from nearkin.contracts import IntArray


@dataclass(frozen=True)
class Answered:
    """Images that may be asked about, with one answer each."""

    view: View
    items: Askable
    answers: tuple[Answer, ...]
    resamples: int

    @classmethod
    def ask(cls, view: View, resamples: int) -> Answered:
        """Ask the view's index about all of them."""
        items = askable(view)
        answers = view.index.query(view.asked(items.rows)) if len(items) else []
        return cls(view, items, tuple(answers), resamples)

    def __len__(self) -> int:
        return len(self.items)

    @property
    def is_unknown(self) -> NDArray[np.bool_]:
        """(n,) whether the image is of no known class."""
        return np.asarray(self.items.codes == len(self.view.classes))

    @property
    def hits(self) -> NDArray[np.bool_]:
        """(n,) whether the answer's label is the image's own."""
        labels = [self.view.labels[row] for row in self.items.rows]
        return np.array([a.label == own for a, own in zip(self.answers, labels, strict=True)], dtype=bool)

    @property
    def flagged(self) -> NDArray[np.bool_]:
        """(n,) whether the answer is `unknown`."""
        return np.array([answer.status == "unknown" for answer in self.answers], dtype=bool)

    @property
    def scores(self) -> NDArray[np.float64]:
        """(n,) how strange each is by the index's outlier score; infinite where no class can be scored."""
        scores = (answer.score for answer in self.answers)
        return np.array([np.inf if score is None else score for score in scores], dtype=np.float64)

    def where(self, chosen: NDArray[Any]) -> Answered:
        """The images of a (n,) mask, or at (k,) positions."""
        places = np.arange(len(self))[chosen]
        return replace(self, items=self.items.where(places), answers=tuple(self.answers[i] for i in places))

    def weights(self) -> IntArray:
        """(resamples, n) how often each image was drawn."""
        return resample(self.items, self.resamples, np.random.default_rng([self.view.seed, 2]))
