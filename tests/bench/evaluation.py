"""What an evaluator takes, its questions embedded."""

from __future__ import annotations

import time

from nearkin import load_registries
from nearkin.contracts import Build, View


def evaluation_seconds(evaluator: str, view: View) -> float:
    """One evaluation with the evaluator's own defaults, intervals and all."""
    component = load_registries(entry_points=False).evaluator.get(evaluator)
    made = component.factory(component.options(), Build(seed=0))
    started = time.perf_counter()
    made.evaluate(view)
    return time.perf_counter() - started
