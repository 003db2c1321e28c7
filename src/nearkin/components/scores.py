"""The built-in outlier scores, let in by the same door as everyone's."""

from __future__ import annotations

from nearkin.contracts import Register
from nearkin.index.scores import BUILT_IN


def register_scores(register: Register) -> None:
    """Every one that the index knows by name."""
    for score in BUILT_IN.values():
        register(score.name, score.factory, summary=score.summary, options=score.options)
