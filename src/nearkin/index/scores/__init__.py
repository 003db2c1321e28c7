"""The outlier scores that ship built in, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from nearkin.contracts import Build, Component, Metric, Options, Score, ScoreChoice
from nearkin.errors import IndexCallError, did_you_mean
from nearkin.index.scores.choice import chosen
from nearkin.index.scores.options import (
    KnnOptions,
    LofOptions,
    MahalanobisOptions,
    PrototypeOptions,
    RelativeMahalanobisOptions,
    ScaledKnnOptions,
)
from nearkin.registry import CORE


def _metric(build: Build) -> Metric:
    assert build.metric, "a score is made for a metric"
    return build.metric


def _knn(options: KnnOptions, build: Build) -> Score:
    from nearkin.index.scores.knn import Knn

    return Knn(_metric(build), options.k)


def _scaled_knn(options: ScaledKnnOptions, build: Build) -> Score:
    from nearkin.index.scores.scaled_knn import ScaledKnn

    return ScaledKnn(_metric(build), options.k)


def _prototype(_: PrototypeOptions, build: Build) -> Score:
    from nearkin.index.scores.prototype import Prototype

    return Prototype(_metric(build))


def _mahalanobis(options: MahalanobisOptions, build: Build) -> Score:
    from nearkin.index.scores.gaussian import Mahalanobis

    return Mahalanobis(_metric(build), shared=options.covariance == "shared")


def _relative_mahalanobis(_: RelativeMahalanobisOptions, build: Build) -> Score:
    from nearkin.index.scores.gaussian import RelativeMahalanobis

    return RelativeMahalanobis(_metric(build))


def _lof(options: LofOptions, build: Build) -> Score:
    from nearkin.index.scores.lof import Lof

    return Lof(_metric(build), options.n_neighbors)


def _built_in(name: str, factory: Any, options: type[Options], summary: str) -> Component:
    return Component("score", name, CORE, "", summary, options, factory)


BUILT_IN: Mapping[str, Component] = {
    made.name: made
    for made in (
        _built_in("knn", _knn, KnnOptions, "Distance to the class's k-th nearest reference. The default."),
        _built_in(
            "scaled_knn",
            _scaled_knn,
            ScaledKnnOptions,
            "Distance to the class's k nearest references, over theirs to each other (after Tax and Duin 2000).",
        ),
        _built_in("prototype", _prototype, PrototypeOptions, "Distance to the mean of the class's references."),
        _built_in(
            "mahalanobis",
            _mahalanobis,
            MahalanobisOptions,
            "Distance to the class's mean under a shrunk covariance (Lee et al. 2018; Ledoit and Wolf 2004).",
        ),
        _built_in(
            "relative_mahalanobis",
            _relative_mahalanobis,
            RelativeMahalanobisOptions,
            "Squared Mahalanobis distance to the class less that to all references as one (Ren et al. 2021).",
        ),
        _built_in("lof", _lof, LofOptions, "Local outlier factor among the class's references (Breunig et al. 2000)."),
    )
}


def built_in(type: str, options: Mapping[str, Any] = MappingProxyType({})) -> ScoreChoice:
    """A built-in score by its name; `IndexCallError` for any other name, or for options that it does not take."""
    component = BUILT_IN.get(type.removeprefix(f"{CORE}:"))
    if component is None:
        raise IndexCallError(
            f"score {type!r}: there is no such built-in score.{did_you_mean(type, BUILT_IN)} "
            f"There are {', '.join(BUILT_IN)}; one of a plugin is chosen by nearkin.score(NAME, ...)."
        )
    return chosen(component, options)


def score_choice(said: ScoreChoice | Mapping[str, Any] | str) -> ScoreChoice:
    """A score, or a built-in one by its name, or as a recipe writes it: `{"type": "knn", "k": 3}`."""
    if isinstance(said, ScoreChoice):
        return said
    rest = {"type": said} if isinstance(said, str) else dict(said)
    return built_in(str(rest.pop("type", "")), rest)
