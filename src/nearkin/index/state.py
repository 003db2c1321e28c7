"""One state of an index: settings, references, calibration, what trained. Never changed, only replaced by another.

So a reader that holds a state answers from it whole, whatever a writer does meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from nearkin.errors import IndexCallError
from nearkin.index.calibration import Calibration
from nearkin.index.decide import Judge
from nearkin.index.engine import FlatEngine
from nearkin.index.references import References
from nearkin.index.settings import Settings
from nearkin.index.trained import Trained


@dataclass(frozen=True, eq=False)
class State:
    """All that an answer rests on."""

    settings: Settings
    references: References
    calibration: Calibration
    trained: Trained
    engine: FlatEngine
    """Made for these references."""
    _judges: dict[float, Judge] = field(default_factory=dict, init=False)

    @classmethod
    def empty(cls, settings: Settings, trained_digests: Iterable[str]) -> State:
        """No references yet."""
        references = References.empty(settings.dim)
        trained = Trained.empty(settings.dim, trained_digests)
        engine = FlatEngine(references, settings.metric)
        return cls(settings, references, Calibration.empty(settings.dim), trained, engine)

    def with_references(self, references: References, changed: Iterable[str]) -> State:
        """Other references, the `changed` classes stale."""
        engine = FlatEngine(references, self.settings.metric)
        return replace(self, references=references, engine=engine, calibration=self.calibration.stale(changed))

    def judge(self, alpha: float) -> Judge:
        """The judge at this alpha, made once."""
        if alpha not in self._judges:
            settings = self.settings
            promise = self.calibration.promise(self.references.class_sizes, k=settings.k, alpha=alpha)
            self._judges[alpha] = Judge(settings.metric, settings.class_rule, promise)
        return self._judges[alpha]

    def require_references(self) -> None:
        """`IndexCallError` where there are none."""
        if not len(self.references):
            raise IndexCallError("the index holds no references yet. Add some: index.add(images, labels).")
