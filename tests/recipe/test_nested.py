"""Sections inside a component's options that name a part by its type are checked as closely as the component."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from nearkin.contracts import (
    Comparison,
    ComparisonOptions,
    Component,
    LossOptions,
    Metric,
    Normalize,
    Options,
    StructureKind,
)
from nearkin.recipe import Recipe, json_schema, resolved
from nearkin.registry import Registries

Parse = Callable[..., Recipe]
Told = Callable[..., list[str]]
Make = Callable[..., Component]


class Lp(Options):
    type: Literal["lp"]
    p: Annotated[float, Field(gt=0)] = 2.0


class Cosine(Options):
    type: Literal["cosine"]


class Snr(Options):
    type: Literal["snr"]


Distance = Annotated[Lp | Cosine | Snr, Field(discriminator="type")]


class Miner(Options):
    type: Literal["hard"]
    margin: float = 0.2
    distance: Distance = Lp(type="lp")


class RichOptions(LossOptions):
    margin: float = 0.1
    distance: Distance = Lp(type="lp")
    miner: Miner | None = None
    penalty: Distance | None = None
    tries: int = 1

    def idle_key(self, structure: StructureKind) -> str | None:
        return "tries" if structure == "pairs" and self.tries != 1 else None

    def comparison(self) -> Comparison:
        ways: dict[str, tuple[Metric | None, Normalize]] = {"cosine": ("cosine", True), "snr": (None, True)}
        metric, normalize = ways.get(self.distance.type, ("l2", True))
        if isinstance(self.distance, Lp) and self.distance.p == 1:
            metric, normalize = "l1", "l1"
        return Comparison(f"the distance {self.distance.type}", metric, normalize)

    def mining_key(self) -> str | None:
        return "miner" if self.miner else None


@pytest.fixture(autouse=True)
def _rich(registries: Registries, make_component: Make) -> None:
    old = registries.method.get("embedding")
    registries.method.discard(old)
    registries.method.add(make_component("method", "embedding", ComparisonOptions, uses_loss=True))
    registries.loss.add(make_component("loss", "rich", RichOptions, takes=("labels", "pairs")))


@pytest.fixture
def write(good: str) -> Callable[..., str]:
    """The good recipe with a loss, and with more options of method and index."""

    def written(loss: str, method: str = "", index: str = "", sampler: str = "balanced_pairs") -> str:
        text = good.replace("{type: twins}", f"{{type: embedding{method}}}\nloss: {{type: rich{loss}}}")
        return text.replace("{alpha: .1}", f"{{alpha: .1{index}}}").replace("balanced_pairs, pairs: 10", sampler)

    return written


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        (
            ", distance: {type: cosin}",
            "r.yaml:10:37 loss.distance.type: no distance here is called 'cosin'. Did you mean 'cosine'?",
        ),
        (
            ", distance: {type: 3}",
            "r.yaml:10:37 loss.distance.type: no distance here is called 3. There are lp, cosine, snr.",
        ),
        (
            ", distance: {}",
            "r.yaml:10:20 loss.distance.type: missing: name the distance, as in {type: lp}. There are lp, cosine, snr.",
        ),
        (
            ", distance: cosine",
            "r.yaml:10:30 loss.distance: wants a section (key: value), not the text 'cosine'. Write {type: cosine}.",
        ),
        (
            ", penalty: 3",
            "r.yaml:10:29 loss.penalty: wants a section (key: value) or null, not the number 3.",
        ),
        (
            ", distance: {type: lp, q: 1}",
            "r.yaml:10:41 loss.distance.q: unknown key. The keys here are type, p.",
        ),
        (
            ", distance: {type: cosine, p: 2}",
            "r.yaml:10:45 loss.distance.p: unknown key. The keys here are type.",
        ),
        (
            ", distance: {type: lp, p: 0}",
            "r.yaml:10:44 loss.distance.p: must be greater than 0, not 0.",
        ),
        (
            ", miner: {type: hard, distance: {type: lp, p: x}}",
            "r.yaml:10:64 loss.miner.distance.p: wants a number, not the text 'x'.",
        ),
        (
            ", miner: {type: hard, distance: {type: lpp}}",
            "r.yaml:10:57 loss.miner.distance.type: no distance here is called 'lpp'. Did you mean 'lp'?",
        ),
    ],
)
def test_a_mistake_inside_is_told_with_its_place_and_the_nearest_valid_name(
    told: Told, write: Callable[..., str], loss: str, said: str
) -> None:
    assert told(write(loss, sampler="m_per_class")) == [said]


def test_every_default_inside_is_written_out_and_reads_back(parse: Parse, write: Callable[..., str]) -> None:
    recipe = parse(write(", miner: {type: hard}", sampler="m_per_class"))
    section = resolved(recipe)["loss"]
    assert section["miner"] == {"type": "hard", "margin": 0.2, "distance": {"type": "lp", "p": 2.0}}
    assert section["distance"] == {"type": "lp", "p": 2.0}


def test_the_schema_knows_the_parts(registries: Registries) -> None:
    loss = json_schema(registries)["properties"]["loss"]["anyOf"][0]["oneOf"]
    (rich,) = (one for one in loss if "rich" in one["properties"]["type"]["enum"])
    assert set(rich["properties"]["distance"]["discriminator"]["mapping"]) == {"lp", "cosine", "snr"}


def test_a_miner_on_top_of_pairs_is_refused(told: Told, write: Callable[..., str]) -> None:
    (said,) = told(write(", miner: {type: hard}"))
    assert said == (
        "r.yaml:10:20 loss.miner: finds pairs or triplets in a batch itself, but the sampler 'balanced_pairs' yields "
        "pairs already. Delete loss.miner, or take a sampler that yields labels: m_per_class."
    )


def test_an_option_that_does_nothing_with_the_samplers_batches_is_refused(
    told: Told, parse: Parse, write: Callable[..., str]
) -> None:
    (said,) = told(write(", tries: 5"))
    assert said == (
        "r.yaml:10:20 loss.tries: has no effect on what the sampler 'balanced_pairs' yields: pairs. Delete this key."
    )
    parse(write(", tries: 5", sampler="m_per_class"))


@pytest.mark.parametrize(
    ("loss", "method", "index", "way"),
    [
        ("", "", "", ("l2", True)),
        (", distance: {type: cosine}", "", "", ("cosine", True)),
        (", distance: {type: lp, p: 1}", "", "", ("l1", "l1")),
        ("", ", metric: cosine", "", ("cosine", True)),
        ("", "", ", metric: cosine", ("cosine", True)),
        (", distance: {type: cosine}", ", metric: l2, normalize: true", "", ("l2", True)),
        (", distance: {type: snr}", "", ", metric: l2", ("l2", True)),
        (", distance: {type: snr}", ", metric: l1, normalize: false", ", metric: l1", ("l1", False)),
    ],
)
def test_a_method_compares_as_its_loss_does(
    parse: Parse, write: Callable[..., str], loss: str, method: str, index: str, way: tuple[Metric, Normalize]
) -> None:
    options = parse(write(loss, method, index)).method.options
    assert isinstance(options, ComparisonOptions)
    assert (options.metric, options.normalize) == way


@pytest.mark.parametrize(
    ("loss", "method", "index", "said"),
    [
        (
            ", distance: {type: snr}",
            "",
            "",
            "r.yaml:15:1 index.metric: missing: the loss 'rich' compares by the distance snr, and no metric of the "
            "index ranks so. Name the one to use: l1, l2, cosine.",
        ),
        (
            "",
            ", metric: l1",
            "",
            "r.yaml:9:35 method.metric: compares by the metric 'l1' between embeddings of unit L2 length, but the "
            "loss 'rich' trains the distance lp, which is the metric 'l2' between embeddings of unit L2 length. "
            "Delete this key, or change the loss's distance.",
        ),
        (
            "",
            ", normalize: false",
            "",
            "r.yaml:9:38 method.normalize: compares by the metric 'l2' between embeddings as they are, but",
        ),
        ("", "", ", metric: l1", "r.yaml:15:28 index.metric: compares by the metric 'l1'"),
        (
            "",
            ", metric: l2",
            ", metric: cosine",
            "r.yaml:15:28 index.metric: method.metric is 'l2', and this 'cosine'.",
        ),
    ],
)
def test_what_contradicts_the_loss_is_told(
    told: Told, write: Callable[..., str], loss: str, method: str, index: str, said: str
) -> None:
    (problem,) = told(write(loss, method, index))
    assert problem.startswith(said)


def test_the_metric_of_a_method_that_has_its_own_is_not_the_indexs_to_choose(told: Told, good: str) -> None:
    (problem,) = told(good.replace("{alpha: .1}", "{alpha: .1, metric: l2}"))
    assert problem.startswith("r.yaml:14:20 index.metric: the method 'twins' says itself how embeddings are compared.")


def test_options_may_be_made_when_they_are_first_asked_for(registries: Registries, make_component: Make) -> None:
    asked: list[Any] = []
    registries.loss.add(make_component("loss", "later", lambda: asked.append(1) or RichOptions))
    later = registries.loss.get("later")
    assert not asked
    assert later.options is RichOptions
    assert later.options is RichOptions
    assert len(asked) == 1
