"""The engines that ship built in, by name. Nothing heavy is loaded until one is made."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from nearkin.contracts import Build, Component, Engine, EngineChoice, Factory, Metric, Options
from nearkin.errors import IndexCallError, did_you_mean
from nearkin.index.engines.choice import chosen
from nearkin.index.engines.options import AutoOptions, FlatOptions, HnswOptions, IvfOptions
from nearkin.registry import CORE

METRICS: tuple[Metric, ...] = ("l1", "l2", "cosine")


def _auto(options: AutoOptions, build: Build) -> Engine:
    from nearkin.index.engines.auto import AutoEngine

    return AutoEngine.empty(options, _metric(build))


def _flat(options: FlatOptions, build: Build) -> Engine:
    from nearkin.index.engines.flat import FlatEngine

    return FlatEngine(_metric(build))


def _hnsw(options: HnswOptions, build: Build) -> Engine:
    from nearkin.index.engines.approximate import ApproximateEngine
    from nearkin.index.engines.hnsw import Hnsw

    return ApproximateEngine.empty(Hnsw(options, _metric(build)))


def _ivf(options: IvfOptions, build: Build) -> Engine:
    from nearkin.index.engines.approximate import ApproximateEngine
    from nearkin.index.engines.ivf import Ivf

    return ApproximateEngine.empty(Ivf(options, _metric(build)))


def _metric(build: Build) -> Metric:
    assert build.metric, "an engine is made for a metric"
    return build.metric


def _built_in(name: str, factory: Factory, options: type[Options], summary: str) -> Component:
    return Component("engine", name, CORE, "", summary, options, factory, metrics=METRICS)


BUILT_IN: Mapping[str, Component] = {
    made.name: made
    for made in (
        _built_in("auto", _auto, AutoOptions, "Exact while that is quick, then approximate with the recall asked for."),
        _built_in("flat", _flat, FlatOptions, "Exact: every reference is looked at."),
        _built_in("hnsw", _hnsw, HnswOptions, "Approximate, by a graph of neighbours: quick to ask, slow to build."),
        _built_in("ivf", _ivf, IvfOptions, "Approximate, by lists of near references: quick to build, compressible."),
    )
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
