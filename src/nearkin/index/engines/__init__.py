"""The engines that ship built in, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from nearkin.contracts import Build, Component, Engine, EngineChoice, Options
from nearkin.errors import IndexCallError, did_you_mean
from nearkin.index.engines.choice import chosen
from nearkin.index.engines.options import FlatOptions
from nearkin.registry import CORE

METRICS = ("l1", "l2", "cosine")


def _flat(options: FlatOptions, build: Build) -> Engine:
    from nearkin.index.engines.flat import FlatEngine

    assert build.metric, "an engine is made for a metric"
    return FlatEngine(build.metric)


def _built_in(name: str, factory: object, options: type[Options], summary: str) -> Component:
    return Component("engine", name, CORE, "", summary, options, factory, metrics=METRICS)  # type: ignore[arg-type]


BUILT_IN: Mapping[str, Component] = {
    made.name: made
    for made in (_built_in("flat", _flat, FlatOptions, "Exact: every reference is looked at. For up to some 100,000."),)
}


def built_in(type: str, options: Mapping[str, Any] = MappingProxyType({})) -> EngineChoice:
    """A built-in engine by its name; `IndexCallError` for any other name, or for options that it does not take."""
    component = BUILT_IN.get(type.removeprefix(f"{CORE}:"))
    if component is None:
        raise IndexCallError(
            f"engine {type!r}: there is no such built-in engine.{did_you_mean(type, BUILT_IN)} "
            "One of a plugin is chosen by nearkin.engine(NAME, ...)."
        )
    return chosen(component, options)
