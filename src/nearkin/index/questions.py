"""What can be asked of an index: its answers, what is near, what an alpha costs, and what happened to it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nearkin.arguments import path_of
from nearkin.contracts import Answer, Metric, Promise, Way
from nearkin.errors import IndexCallError
from nearkin.index import answering, export, history, verifying
from nearkin.index.alphas import ALPHAS, AlphaRow, alpha_table
from nearkin.index.answering import Asked
from nearkin.index.folds import read_for_each
from nearkin.index.history import Drift, Event
from nearkin.index.inputs import Given, count_problem, read, refuse
from nearkin.index.references import References
from nearkin.index.settings import Settings, alpha_problem
from nearkin.index.state import State
from nearkin.index.verifying import Check
from nearkin.index.where import Where


class Questions:
    """The half of `Index` that changes nothing. Each call answers from one state, whatever others change meanwhile."""

    _state: State
    _changing: threading.RLock
    on_embed: Callable[[int, int], None] | None = None
    """Told, while images are embedded, how many of how many are done."""

    def __len__(self) -> int:
        return len(self.references)

    def __repr__(self) -> str:
        return f"Index({self.metric!r}, {len(self)} references of {len(self.labels)} classes)"

    @property
    def settings(self) -> Settings:
        """What it was made with: metric, class rule, dimensions, alpha, outlier score, operating points, space."""
        return self._state.settings

    @property
    def metric(self) -> Metric:
        """How distances are measured."""
        return self._state.settings.metric

    @property
    def alpha(self) -> float:
        """The promised upper bound on the share of a calibrated class's images that are flagged unknown."""
        return self._state.settings.alpha

    @property
    def operating_points(self) -> Mapping[str, float]:
        """Other alphas by name: `query(image, alpha="triage")`."""
        return dict(self._state.settings.operating_points)

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes that it holds references of, sorted."""
        return self.references.classes

    @property
    def references(self) -> References:
        """The store, read-only: vectors, ids, labels, groups, sources, in the order of ids."""
        return self._state.references

    @property
    def promise(self) -> Promise:
        """What stands behind answers at the index's own alpha."""
        return self._state.judge(self.alpha).promise

    @property
    def way(self) -> Way | None:
        """How it was calibrated, whether or not that still holds; `None` where it never was."""
        calibration = self._state.calibration
        return calibration.way if len(calibration) else None

    @property
    def model_digest(self) -> str:
        """Of the model whose embeddings it holds; empty where nobody said."""
        return self._state.model.digest

    @property
    def history(self) -> tuple[Event, ...]:
        """Every change since it was made, oldest first, and the answers that were recorded."""
        return self._state.history

    # ------------------------------------------------------------------------------------------- answers

    def query(
        self,
        images_or_embeddings: Any,
        *,
        k: int = 5,
        alpha: float | str | None = None,
        where: Where | None = None,
        record: bool = False,
    ) -> Any:
        """One image or (d,) embedding -> one `Answer`; a list or an (n, d) array -> a list of them.

        `k`: how many neighbours an answer shows; all where the index holds fewer. `alpha`: decide at another
        level than the index's own, a number or an operating point's name, from the same scores. `where`: ask about
        some references alone, by label, group or source: `{"label": ["covid", "normal"], "source": "ward-3/*"}`.
        Classes that the filter leaves out are not asked about; one that it takes a part of is uncalibrated.
        `record`: count the statuses in the history.
        """
        refuse([count_problem("k", k)])
        level = self._state.settings.level(alpha)
        asked = self._asked(images_or_embeddings, where)
        answers = answering.answer(asked, neighbors=int(k), alpha=level)
        if record:
            self.record(answers)
        return answers[0] if asked.one else answers

    def range(self, images_or_embeddings: Any, radius: float, *, where: Where | None = None) -> Any:
        """All references at most `radius` away, in the index's metric: a tuple of `Neighbor`, nearest first.

        One in gives one tuple; a list in gives a list of them.
        """
        refuse([answering.radius_problem(radius)])
        asked = self._asked(images_or_embeddings, where, scored=False)
        found = list(answering.within(asked.state, asked.vectors, radius))
        return found[0] if asked.one else found

    def alpha_table(
        self, queries: Any = None, *, alphas: Sequence[float] = ALPHAS, images: int = 100
    ) -> list[AlphaRow]:
        """What each alpha costs, to choose one: false flags a class, and the review load of the queries given.

        The range of false flags is for so many new `images` of a class.
        """
        several = list(alphas) if isinstance(alphas, Iterable) and not isinstance(alphas, str) else None
        refuse([*map(alpha_problem, several or ()), count_problem("images", images)])
        if several is None:
            raise IndexCallError(f"alphas {alphas!r}: give a list.")
        asked = None if queries is None else self._asked(queries, None)
        return alpha_table(self._state, several, int(images), asked)

    def _asked(self, images_or_embeddings: Any, where: Where | None, *, scored: bool = True) -> Asked:
        """The question; where nothing is `scored`, the index's own model is enough."""
        state = self._state
        state.require_references()
        part = state if where is None else state.part(where)
        if not scored:
            return Asked.unscored(part, self._read(images_or_embeddings, state))
        if state.folds:
            return Asked.of(part, *read_for_each(state, images_or_embeddings, self.on_embed))
        return Asked.of(part, self._read(images_or_embeddings, state))

    def _read(self, images_or_embeddings: Any, state: State) -> Given:
        """As this state's model embeds; `self._state` may be another's by the time that it is done."""
        given = read(images_or_embeddings, state.settings.dim, state.model.embed, self.on_embed)
        return replace(given, space=None) if given.space is not None and not state.settings.space else given

    # ------------------------------------------------------------------------------- for people and other tools

    def verify(self) -> list[Check]:
        """What loading cannot confirm, worked out again: independence, calibration scores, search."""
        return list(verifying.verify(self._state))

    def export(self, path: Path | str) -> None:
        """Write vectors, ids, labels, groups and sources for other tools: a new `.parquet` or `.npz` file."""
        about = {"format": "nearkin references", **self.settings.written(), "model": self.model_digest}
        export.export(self.references, path_of(path, "export"), about)

    # ------------------------------------------------------------------------------------------- records

    def record(self, answers: Answer | Iterable[Answer]) -> None:
        """Count these answers in the history, a line a day and alpha: the statuses alone, no image and no embedding.

        Nothing is recorded unless this is called, or `query(..., record=True)`; it is kept by `save`.
        """
        several = list(answers) if isinstance(answers, Iterable) else [answers]
        with self._changing:
            self._state = self._state.with_history(history.recorded(self._state.history, several))

    def drift(self, by: str = "day") -> list[Drift]:
        """The share of recorded answers flagged unknown, beside alpha: one row a day, month or year."""
        return history.drift(self._state.history, by)
