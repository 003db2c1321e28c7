"""Registries with small components of no distribution in particular: the reader needs no real ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, field_validator

from nearkin.contracts import Component, Kind, Options, StructureKind
from nearkin.errors import Problem, RecipeError
from nearkin.recipe import Recipe, parse_recipe
from nearkin.registry import Registries


class NetOptions(Options):
    width: Annotated[int, Field(ge=1)] = 64
    channels: Literal[1, 3] = 1
    size: tuple[int, int] = (28, 28)
    dropout: Literal["auto"] | Annotated[float, Field(ge=0, lt=1)] = "auto"
    title: str = ""


class PairsOptions(Options):
    pairs: Annotated[int, Field(ge=2)] = 30

    @field_validator("pairs")
    @classmethod
    def _even(cls, pairs: int) -> int:
        if pairs % 2:
            raise ValueError("pairs must be even")
        return pairs


class KnnOptions(Options):
    k: Annotated[int, Field(ge=1)] = 1


class FarOptions(Options):
    uri: str = ""
    shards: Annotated[int, Field(ge=1)] = 1


class ExamOptions(Options):
    n_way: int


def component(
    kind: Kind,
    name: str,
    options: type[Options] = Options,
    *,
    distribution: str = "nearkin",
    yields: StructureKind | None = None,
    takes: tuple[StructureKind, ...] = (),
    uses_loss: bool = False,
) -> Component:
    return Component(
        kind, name, distribution, "1.0", f"A {name}.", options, lambda options, build: None, yields, takes, uses_loss
    )


@pytest.fixture(scope="session")
def make_component() -> Callable[..., Component]:
    return component


def make_registries() -> Registries:
    registries = Registries()
    for one in (
        component("backbone", "conv4", NetOptions),
        component("backbone", "conv2", NetOptions),
        component("sampler", "balanced_pairs", PairsOptions, yields="pairs"),
        component("sampler", "m_per_class", yields="labels"),
        component("loss", "triplet_margin", takes=("labels", "triplets")),
        component("loss", "contrastive", takes=("labels", "pairs")),
        component("method", "twins", takes=("pairs",)),
        component("method", "embedding", uses_loss=True),
        component("evaluator", "exam", ExamOptions),
        component("evaluator", "clusters"),
        component("score", "knn", KnnOptions),
        component("score", "prototype"),
        component("engine", "auto"),
        component("engine", "flat"),
        component("engine", "far", FarOptions),
    ):
        registries.of(one.kind).add(one)
    return registries


@pytest.fixture
def registries() -> Registries:
    return make_registries()


@pytest.fixture(scope="session")
def shared_registries() -> Registries:
    """For property-based tests, which change nothing."""
    return make_registries()


GOOD = """\
# The command comes first.
name: small
seed: 3
data:
  source: digits
  known: ["3", "007", "no"]
  unknown: rest
backbone: {type: conv4, width: 32}
method: {type: twins}
sampler: {type: balanced_pairs, pairs: 10}
train:
  steps: 400
  optimizer: {type: adam, lr: 1e-3}
index: {alpha: .1}
evaluate:
  - {type: exam, n_way: 20}
  - type: clusters
"""


@pytest.fixture(scope="session")
def good() -> str:
    return GOOD


@pytest.fixture
def parse(registries: Registries) -> Callable[..., Recipe]:
    """`parse(text, overrides)`."""

    def parse_it(text: str = GOOD, overrides: Any = ()) -> Recipe:
        return parse_recipe(text, registries, name="r.yaml", overrides=overrides)

    return parse_it


@pytest.fixture
def problems_of(parse: Callable[..., Recipe]) -> Callable[..., list[Problem]]:
    """`problems_of(text, overrides)`: the problems, as they are told."""

    def find(text: str = GOOD, overrides: Any = ()) -> list[Problem]:
        with pytest.raises(RecipeError) as caught:
            parse(text, overrides)
        return list(caught.value.problems)

    return find


@pytest.fixture
def told(problems_of: Callable[..., list[Problem]]) -> Callable[..., list[str]]:
    """`told(text, overrides)`: each problem as a line."""
    return lambda text=GOOD, overrides=(): [str(problem) for problem in problems_of(text, overrides)]
