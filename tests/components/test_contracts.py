"""The built-in components keep the contracts that plugin authors are held to."""

from __future__ import annotations

from typing import Any, cast

import pytest

from nearkin import load_registries
from nearkin.contracts import Backbone, Build, Component, Evaluator, Kind, Loss, Method, Sampler
from nearkin.testing import BackboneContract, EvaluatorContract, LossContract, MethodContract, SamplerContract

REGISTRIES = load_registries(entry_points=False)


def all_of(kind: Kind) -> Any:
    """A fixture that yields every built-in component of a kind."""
    return pytest.fixture(
        autouse=True, params=list(REGISTRIES.of(kind)), ids=lambda component: cast(Component, component).name
    )


SMALLER: dict[str, dict[str, Any]] = {"episodes": {"n_way": 3, "n_query": 2}}
"""What the suites' three classes of four items are too small for by default."""


class Each:
    """Makes the component under test with its default options, where the suites' items are enough for those."""

    component: Component

    def built(self, build: Build) -> Any:
        options = self.component.options.model_validate(SMALLER.get(self.component.name, {}))
        return self.component.factory(options, build)


class TestBackbones(Each, BackboneContract):
    @all_of("backbone")
    def _each(self, request: pytest.FixtureRequest) -> None:
        self.component = request.param

    def make(self, build: Build) -> Backbone:
        return cast(Backbone, self.built(build))


class TestSamplers(Each, SamplerContract):
    @all_of("sampler")
    def _each(self, request: pytest.FixtureRequest) -> None:
        self.component = request.param

    def make(self, build: Build) -> Sampler:
        return cast(Sampler, self.built(build))


class TestLosses(Each, LossContract):
    """But smooth_ap, which refuses batches of three classes with four images, dynamic_soft_margin, which remembers,
    and histogram, for which three triplets are too few to overlap: tests/components/losses looks at all.
    """

    @pytest.fixture(
        autouse=True,
        params=[loss for loss in REGISTRIES.loss if loss.name not in ("smooth_ap", "dynamic_soft_margin", "histogram")],
        ids=lambda component: cast(Component, component).name,
    )
    def _each(self, request: pytest.FixtureRequest) -> None:
        self.component = request.param
        self.takes = self.component.takes[-1]

    def make(self, build: Build) -> Loss:
        needed = {"margin": 0.4, "Tn": 10.0} if self.component.name == "ranked_list" else {}
        return cast(Loss, self.component.factory(self.component.options(**needed), build))


class TestEvaluators(EvaluatorContract):
    @all_of("evaluator")
    def _each(self, request: pytest.FixtureRequest) -> None:
        self.component = request.param

    def make(self, build: Build) -> Evaluator:
        return cast(Evaluator, self.component.factory(self.component.options(resamples=40), build))


class TestMethodEmbedding(MethodContract):
    takes = "triplets"

    def make(self, build: Build) -> Method:
        from dataclasses import replace

        loss = REGISTRIES.loss.get("triplet_margin")
        method = REGISTRIES.method.get("embedding")
        criterion = loss.factory(loss.options(), build)
        return cast(Method, method.factory(method.options(), replace(build, loss=criterion)))
