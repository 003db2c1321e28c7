"""One state of an index: settings, references, calibration, what trained. Never changed, only replaced by another.

So a reader that holds a state answers from it whole, whatever a writer does meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from nearkin.contracts import Engine, IntArray, Promise
from nearkin.errors import IndexCallError
from nearkin.index.calibration import Calibration
from nearkin.index.decide import Judge
from nearkin.index.engines.flat import FlatEngine
from nearkin.index.references import References
from nearkin.index.searcher import Searcher
from nearkin.index.settings import Settings
from nearkin.index.trained import Trained
from nearkin.index.where import chosen, narrowed, plain

PARTS_KEPT = 4
"""Filters whose references are held ready, so that asking again costs a search alone."""


@dataclass(frozen=True, eq=False)
class State:
    """All that an answer rests on."""

    settings: Settings
    references: References
    calibration: Calibration
    trained: Trained
    searcher: Searcher
    """Over these references."""
    whole: State | None = None
    """Where a question is about a part of the references: the state that it is a part of."""
    _judges: dict[float, Judge] = field(default_factory=dict, init=False)
    _parts: dict[str, State] = field(default_factory=dict, init=False)

    @classmethod
    def empty(cls, settings: Settings, trained_digests: Iterable[str], engine: Engine) -> State:
        """No references yet."""
        references = References.empty(settings.dim)
        trained = Trained.empty(settings.dim, trained_digests)
        searcher = Searcher(references, engine, settings.metric)
        return cls(settings, references, Calibration.empty(settings.dim), trained, searcher)

    def with_references(self, references: References, ids: IntArray, labels: Iterable[str]) -> State:
        """Other references: those of `ids` came or went, so the classes of `labels` are stale."""
        engine = self.searcher.engine.holding(references.ids, references.vectors, changed=ids)
        searcher = Searcher(references, engine, self.settings.metric)
        return replace(self, references=references, searcher=searcher, calibration=self.calibration.stale(labels))

    def judge(self, alpha: float) -> Judge:
        """The judge at this alpha, made once."""
        if alpha not in self._judges:
            self._judges[alpha] = Judge(self.settings.metric, self.settings.class_rule, self._promise(alpha))
        return self._judges[alpha]

    def _promise(self, alpha: float) -> Promise:
        sizes = self.references.class_sizes
        if self.whole is not None:
            return narrowed(self.whole.judge(alpha).promise, self.whole.references.class_sizes, sizes)
        return self.calibration.promise(sizes, k=self.settings.k, alpha=alpha)

    def part(self, where: Any) -> State:
        """The references that a filter lets through, as a state of their own; the last few are kept."""
        wanted = plain(where)
        key = repr(sorted(wanted.items()))
        if key not in self._parts:
            references = self.references.without(np.flatnonzero(~chosen(self.references, wanted)))
            flat = FlatEngine(self.settings.metric, references.ids, references.vectors)
            searcher = Searcher(references, flat, self.settings.metric)
            while len(self._parts) >= PARTS_KEPT:
                self._parts.pop(next(iter(self._parts)), None)
            self._parts[key] = replace(self, references=references, searcher=searcher, whole=self)
        return self._parts[key]

    def require_references(self) -> None:
        """`IndexCallError` where there are none."""
        if not len(self.references):
            raise IndexCallError("the index holds no references yet. Add some: index.add(images, labels).")
