"""The part of `Index` that calibrates: what may stand behind *unknown*, and what may never."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self, TypeVar

from nearkin.contracts import EngineChoice
from nearkin.errors import IndexCallError
from nearkin.index import calibrating, lifecycle
from nearkin.index.inputs import named_texts
from nearkin.index.questions import Questions
from nearkin.index.state import Fold, State

T = TypeVar("T")


class Calibrated(Questions):
    """Every call but `remember_...` replaces calibration, and returns the index itself."""

    _engine: EngineChoice

    def _change(self, change: Callable[..., tuple[State, T]], *arguments: Any, read_by: State | None = None) -> T:
        """One change at a time; readers see the state before it or after it.

        `read_by`: the state whose model embedded what is handed in. `IndexCallError` where it is another by now.
        """
        with self._changing:
            if read_by is not None and self._state.model is not read_by.model:
                raise IndexCallError(
                    "this index was embedded anew with another model (reembed) while these images were embedded with "
                    "the one before. Nothing was changed. Repeat the call."
                )
            self._state, result = change(self._state, *arguments)
            return result

    def remember_trained(
        self,
        images_or_embeddings: Any,
        groups: Sequence[str] | str | None = None,
        *,
        digests: Sequence[str] | None = None,
    ) -> None:
        """Never calibrate on these: they trained the model or chose its weights, and are no references here."""
        state = self._state
        given = self._read(images_or_embeddings, state)
        named = named_texts(given, [""] * len(given), groups, None, digests)
        self._change(lifecycle.remember_trained, given, named, read_by=state)

    def calibrate(
        self,
        images_or_embeddings: Any,
        labels: Sequence[str] | str,
        alpha: float | str | None = None,
        groups: Sequence[str] | str | None = None,
        *,
        sources: Sequence[str] | str | None = None,
        digests: Sequence[str] | None = None,
    ) -> Self:
        """Calibrate the classes of these labels on held-out items; other classes keep their calibration.

        Items that trained the model, are references, or share a group with either are refused by name.
        What was given of these classes before is replaced. `alpha`, or an operating point's, becomes the index's own.
        Returns self.
        """
        state = self._state
        given = self._read(images_or_embeddings, state)
        named = named_texts(given, labels, groups, sources, digests)
        self._change(calibrating.calibrate, given, named, alpha, read_by=state)
        return self

    def calibrate_on_references(
        self, labels: Iterable[str] | str | None = None, *, alpha: float | str | None = None
    ) -> Self:
        """Calibrate classes (all, unless `labels` names some) on their own references, leaving one group out at a time.

        No image need be kept apart: each reference is scored against those of the other groups. Of the references
        those alone calibrate that trained nothing and were not chosen for review, nor anything of their group; they
        must have been drawn as new images are. References that join later do not calibrate until this is called again.
        For the score `knn` on an exact engine; `IndexCallError` says why for others, and for classes without such
        references. Returns self.
        """
        self._change(calibrating.calibrate_on_references, labels, alpha)
        return self

    def calibrate_across(self, folds: Sequence[Calibrated], *, alpha: float | str | None = None) -> Self:
        """Calibrate all classes cross-conformally: K indexes, each calibrated on the fold that its model never saw.

        Every query is then scored by all K models, each among its own fold, and the ranks are added up; label and
        neighbours stay this index's own. In the worst case about 2 alpha of a class's images are flagged, plus a
        small-sample term: the promise says how many. `nearkin.train` does all of it where a recipe says
        `unknown: {way: cross_conformal}`. `IndexCallError` for folds that do not go together. Returns self.
        """
        folds = list(folds)  # read twice, and an iterator gives itself once
        for fold in folds:
            if not isinstance(fold, Calibrated):
                raise IndexCallError(f"calibrate_across: takes indexes, not {type(fold).__name__}.")
        self._change(calibrating.calibrate_across, [Fold(fold._state, fold._engine) for fold in folds], alpha)
        return self

    def recalibrate(self, alpha: float | str | None = None) -> Self:
        """Score the calibration items again, after references changed. Returns self.

        Items of classes that hold no reference any more wait until they do. `alpha` becomes the index's own.
        """
        self._change(calibrating.recalibrate, alpha)
        return self
