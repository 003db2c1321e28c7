"""The built-in engines, let in by the same door as everyone's."""

from __future__ import annotations

from nearkin.contracts import Register
from nearkin.index.engines import BUILT_IN


def register_engines(register: Register) -> None:
    """Every one that the index knows by name."""
    for engine in BUILT_IN.values():
        register(engine.name, engine.factory, summary=engine.summary, options=engine.options, metrics=engine.metrics)
