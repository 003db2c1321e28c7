"""One state of an index: settings, references, calibration, what trained. Never changed, only replaced by another.

So a reader that holds a state answers from it whole, whatever a writer does meanwhile.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from nearkin.contracts import Engine, EngineChoice, FloatArray, IntArray, Promise
from nearkin.errors import IndexCallError
from nearkin.index.calibration import Calibration
from nearkin.index.decide import Judge
from nearkin.index.engines.flat import FlatEngine
from nearkin.index.history import Event
from nearkin.index.model_link import ModelLink
from nearkin.index.ranks import Ranks
from nearkin.index.references import References
from nearkin.index.scoring import Scorer
from nearkin.index.searcher import Searcher, filled
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
    reviewed: Trained
    """What people chose to look at, and so is not as new images are: it may be references, and never calibrates."""
    searcher: Searcher
    """Over these references."""
    model: ModelLink
    history: tuple[Event, ...] = ()
    folds: tuple[Fold, ...] = ()
    """What scores queries where the calibration is cross-conformal."""
    whole: State | None = None
    """Where a question is about a part of the references: the state that it is a part of."""
    _judges: dict[float, Judge] = field(default_factory=dict, init=False)
    _reaches: dict[float, FloatArray] = field(default_factory=dict, init=False)
    _scorers: list[Scorer] = field(default_factory=list, init=False)
    _ranks: list[Ranks] = field(default_factory=list, init=False)
    _parts: dict[str, State] = field(default_factory=dict, init=False)

    @classmethod
    def empty(cls, settings: Settings, trained: Trained, engine: Engine, model: ModelLink) -> State:
        """No references yet."""
        dims = settings.dim, settings.space_dim
        references = References.empty(*dims)
        searcher = Searcher(references, engine, settings.metric)
        calibration, reviewed = Calibration.empty(*dims), Trained.empty(settings.dim)
        return cls(settings, references, calibration, trained, reviewed, searcher, model)

    def blank(self) -> State:
        """The same settings, model and memory of what trained it, and nothing else."""
        empty = References.empty(self.settings.dim)
        engine = filled(self.searcher.engine, empty.ids, empty.vectors)
        return replace(State.empty(self.settings, self.trained, engine, self.model), reviewed=self.reviewed)

    def with_references(self, references: References, ids: IntArray, labels: Iterable[str]) -> State:
        """Other references: those of `ids` came or went, so the classes of `labels` are stale."""
        engine = filled(self.searcher.engine, references.ids, references.vectors, ids)
        searcher = Searcher(references, engine, self.settings.metric)
        changed = {*labels}
        if not engine.exact or engine.fingerprint != self.searcher.engine.fingerprint:
            changed = {*self.calibration.labels}  # an engine that misses some misses others now
        if changed and not self.scorer.per_class:
            changed = {*self.calibration.labels}
        return replace(self, references=references, searcher=searcher, calibration=self.calibration.stale(changed))

    def with_engine(self, engine: Engine) -> State:
        """The same references in another engine, made anew from the store."""
        held = filled(engine, self.references.ids, self.references.vectors)
        same = held.fingerprint == self.searcher.engine.fingerprint
        calibration = self.calibration if same else self.calibration.stale({*self.calibration.labels})
        return replace(self, searcher=Searcher(self.references, held, self.settings.metric), calibration=calibration)

    @property
    def scorer(self) -> Scorer:
        """How strange an embedding is for each class, made once."""
        if self.whole is not None:
            return self.whole.scorer
        if not self._scorers:
            settings = self.settings
            score = settings.made_score()
            self._scorers.append(Scorer(self.searcher, score, settings.said_score, settings.space))
        return self._scorers[0]

    def noted(self, call: str, n: int, labels: Iterable[str] = (), **details: Any) -> State:
        """The same, with a line in its history: the call, how many items, how many of each of the `labels`."""
        counts = Counter(labels)
        said = {"labels": dict(sorted(counts.items())), **details} if counts else details
        return self.with_history((*self.history, Event.now(call, n, **said)))

    def with_history(self, history: tuple[Event, ...]) -> State:
        """The same with another history; what was made for answering is kept."""
        same = replace(self, history=history)
        same._judges.update(self._judges)
        same._reaches.update(self._reaches)
        same._scorers.extend(self._scorers)
        same._ranks.extend(self._ranks)
        return same

    def judge(self, alpha: float) -> Judge:
        """The judge at this alpha, made once."""
        if alpha not in self._judges:
            how = (self.settings.metric, self.settings.class_rule)
            self._judges[alpha] = Judge(*how, self._promise(alpha), self.references.classes)
        return self._judges[alpha]

    def reach(self, alpha: float) -> FloatArray:
        """(c,) the largest score with which each calibrated class fits at this alpha; -inf where no search decides.

        Worked out once.
        """
        if alpha not in self._reaches:
            judge = self.judge(alpha)
            calibrated = judge.calibrated[: None if self.scorer.nearest and not self.folds else 0]
            self._reaches[alpha] = self.calibration.reach(judge.classes, calibrated, alpha)
        return self._reaches[alpha]

    @property
    def ranks(self) -> Ranks:
        """The calibrated scores of the classes asked about, made once."""
        if not self._ranks:
            self._ranks.append(Ranks.of(self.calibration.sorted_scores, self.references.classes))
        return self._ranks[0]

    def _promise(self, alpha: float) -> Promise:
        sizes = self.references.class_sizes
        if self.whole is not None:
            return narrowed(self.whole.judge(alpha).promise, self.whole.references.class_sizes, sizes)
        return self.calibration.promise(self.scorer, alpha=alpha)

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


@dataclass(frozen=True, eq=False)
class Fold:
    """One model of a cross-conformal calibration: its references, and its own fold's items that calibrate it."""

    state: State
    engine: EngineChoice
