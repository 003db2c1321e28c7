"""Questions answered from one state."""

from __future__ import annotations

from nearkin.contracts import Answer, FloatArray
from nearkin.index import clusters
from nearkin.index.decide import Evidence
from nearkin.index.state import State


def answer(state: State, vectors: FloatArray, *, neighbors: int, alpha: float) -> list[Answer]:
    """(q, d), checked -> q answers, each with so many neighbours."""
    references, settings = state.references, state.settings
    found = clusters.look_up(state.engine, vectors, k=settings.k, neighbors=neighbors)
    evidence = Evidence(
        classes=references.classes,
        codes=clusters.name(settings.class_rule, references, vectors, found.nearest, settings.metric),
        nearest=found.nearest,
        p_values=state.calibration.p_values(found.kth, references.classes),
        neighbors=clusters.neighbors(references, found),
    )
    return state.judge(alpha).decide(evidence)
