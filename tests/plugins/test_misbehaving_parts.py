"""Parts that break their contract once a plugin is in: each is named, with what it did, before it does harm."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from pydantic import Field
from torch import nn

import nearkin
from nearkin import Index, Options, hookimpl, load_registries
from nearkin.blueprint import Blueprint
from nearkin.contracts import Build, Hits, InputSpec, Kind, Metric, Register
from nearkin.errors import DamagedError, PluginError
from nearkin.index.engines.flat import FlatEngine
from nearkin.making import make_sampler
from nearkin.model import Model, build_model, load_model
from nearkin.recipe.model import Selection
from nearkin.registry import Registries
from nearkin.training.checks import check_embedding

SPEC = InputSpec((16, 16), 1, (0.5,), (0.5,))
QUERY = np.ones(3, dtype=np.float32)


class Parts:
    """A plugin whose parts are all called `odd`, and are made by these functions."""

    nearkin_api = 1
    __name__ = "odd-plugin"

    def __init__(self, *, options: type[Options] = Options, **made: Callable[[Any, Build], Any]) -> None:
        self.options, self.made = options, made

    def _register(self, register: Register, kind: Kind, **said: Any) -> None:
        if kind in self.made:
            register("odd", self.made[kind], options=self.options, summary="Odd.", **said)

    @hookimpl
    def nearkin_backbones(self, register: Register) -> None:
        self._register(register, "backbone")

    @hookimpl
    def nearkin_samplers(self, register: Register) -> None:
        self._register(register, "sampler", yields="pairs")

    @hookimpl
    def nearkin_losses(self, register: Register) -> None:
        self._register(register, "loss", takes=("pairs",))

    @hookimpl
    def nearkin_methods(self, register: Register) -> None:
        self._register(register, "method", uses_loss=True)

    @hookimpl
    def nearkin_engines(self, register: Register) -> None:
        self._register(register, "engine", metrics=("l2",))

    @hookimpl
    def nearkin_scores(self, register: Register) -> None:
        self._register(register, "score")


def broken(options: Options, build: Build) -> Any:
    raise ValueError("no such\nmodel")


class Flat(nn.Module):
    """A backbone that is right."""

    input = SPEC
    embedding_dim = 256

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1) * self.scale


class Plain:
    """A method that is right."""

    metric: Any = "l2"
    class_rule: Any = "nearest"

    def loss(self, embeddings: Any, labels: Any, structure: Any) -> Any:
        return embeddings.square().mean()

    def transform(self, embeddings: Any) -> Any:
        return embeddings

    def compare(self, queries: Any, support: Any, support_labels: Any) -> Any:
        return torch.zeros(len(queries), int(support_labels.max()) + 1)


def changed(base: type, **attributes: Any) -> Any:
    """One of `base` with something else."""
    return type(base.__name__, (base,), attributes)()


def selection(registries: Registries, kind: Kind, name: str, **options: Any) -> Selection:
    return Selection(kind, name, registries.of(kind).get(name).options(**options))


def built(plugin: Parts, **options: Any) -> tuple[Model, Registries]:
    """A model of its parts, and built-in ones where it has none."""
    registries = load_registries(plugin, entry_points=False)
    usual = {"backbone": "conv2", "method": "embedding", "loss": "contrastive"}
    names = {kind: "odd" if kind in plugin.made else name for kind, name in usual.items()}
    given = {"backbone": options or ({} if names["backbone"] == "odd" else {"image_size": 16, "width": 4})}
    parts = [selection(registries, cast(Kind, kind), name, **given.get(kind, {})) for kind, name in names.items()]
    return build_model(Blueprint(0, ("a", "b"), (parts[0],), *parts[1:]), registries), registries


# ------------------------------------------------------------------------------------------------- factories


@pytest.mark.parametrize("kind", ["backbone", "method", "loss"])
def test_a_factory_that_raises_is_named(kind: str) -> None:
    with pytest.raises(PluginError, match=rf"the {kind} odd-plugin:odd raised ValueError: no such model\. 'nearkin"):
        built(Parts(**{kind: broken}))


def test_a_factory_that_would_end_the_program_is_named() -> None:
    with pytest.raises(PluginError, match="the loss odd-plugin:odd raised SystemExit: 0"):
        built(Parts(loss=lambda options, build: sys.exit(0)))


@pytest.mark.parametrize("kind", ["engine", "score"])
def test_a_factory_of_the_index_that_raises_is_named(kind: str) -> None:
    choice = getattr(nearkin, kind)("odd", plugins=[Parts(**{kind: broken})])
    with pytest.raises(PluginError, match=f"the {kind} odd-plugin:odd raised ValueError: no such model"):
        Index(metric="l2", class_rule="nearest", dim=3, **{kind: choice}).add(QUERY[None], ["a"])


@pytest.mark.parametrize("kind", ["engine", "score"])
def test_what_is_no_part_of_an_index_is_told_by_what_it_lacks(kind: str) -> None:
    choice = getattr(nearkin, kind)("odd", plugins=[Parts(**{kind: lambda options, build: None})])
    with pytest.raises(PluginError, match=f"the {kind} odd-plugin:odd made a NoneType without"):
        choice.make(Build(seed=0, metric="l2", embedding_dim=3))


def test_a_score_that_raises_is_named_where_a_recipe_is_read() -> None:
    text = (
        "{name: x, data: {source: digits, known: ['3', '5'], calibrate: 20}, backbone: {type: conv2, image_size: 28}, "
        "method: {type: embedding}, sampler: {type: balanced_pairs}, loss: {type: contrastive}, train: {steps: 1}, "
        "unknown: {way: leave_one_group_out, score: {type: odd}}}"
    )
    with pytest.raises(PluginError, match="the score odd raised ValueError"):
        nearkin.recipe.parse_recipe(text, load_registries(Parts(score=broken), entry_points=False), name="r.yaml")


# ------------------------------------------------------------------------------------- what backbones must be


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"embedding_dim": np.int64(256)}, r"has the embedding_dim np\.int64\(256\), which is no whole number"),
        ({"embedding_dim": 0}, "has the embedding_dim 0"),
        ({"input": (16, 16)}, "has a tuple as its input, which is no InputSpec"),
        ({"input": InputSpec((16, 16), 3, (0.5,), (0.5,))}, "channels are 1 or 3, each with a mean and a std above 0"),
        ({"input": InputSpec((16, 16), 1, (0.5,), (0.0,))}, "a std above 0"),
        ({"input": InputSpec(cast(Any, (16.0, 16)), 1, (0.5,), (0.5,))}, r"the size \(16.0, 16\), which is no"),
        ({"input": InputSpec((16, 16), 1, cast(Any, (np.float32(0.5),)), (0.5,))}, "which is not all plain numbers"),
    ],
)
def test_a_backbone_that_could_not_be_saved_is_refused_before_it_trains(attributes: dict[str, Any], said: str) -> None:
    with pytest.raises(
        PluginError, match=f"the backbone odd-plugin:odd {'takes images of ' * ('size' in said)}.*{said}"
    ):
        built(Parts(backbone=lambda options, build: changed(Flat, **attributes)))


def test_a_backbone_that_is_no_torch_module_is_refused() -> None:
    shell = SimpleNamespace(input=SPEC, embedding_dim=4)
    with pytest.raises(
        PluginError, match="made a SimpleNamespace, which is no torch module: its weights would neither"
    ):
        built(Parts(backbone=lambda options, build: shell))


def test_an_input_spec_of_lists_is_one_of_tuples_so_that_its_model_opens_again() -> None:
    spec = InputSpec(cast(Any, [16, 16]), 1, cast(Any, [0.5]), cast(Any, [0.5]))
    assert spec == SPEC
    model, registries = built(Parts(backbone=lambda options, build: changed(Flat, input=spec)))
    assert load_model(model.files(), registries, "here").input == SPEC


def test_nan_from_a_backbone_is_told_before_the_first_step() -> None:
    model, registries = built(
        Parts(backbone=lambda options, build: changed(Flat, forward=lambda _, x: x.flatten(1) / 0))
    )
    with pytest.raises(PluginError, match="the backbone odd-plugin:odd made NaN or infinite numbers"):
        check_embedding(model, np.zeros((2, 1, 16, 16), dtype=np.float32), registries)


# --------------------------------------------------------------------------------------- what methods must be


class Holding(Plain):
    """A method with weights, that is no torch module."""

    def __init__(self) -> None:
        self.head = nn.Linear(2, 2)


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"metric": "euclidean"}, "has the metric 'euclidean', which is none of l1, l2, cosine"),
        ({"class_rule": None}, "has the class_rule None, which is none of nearest, prototype, attention"),
        ({"class_rule": "attention"}, "has the class_rule attention, which compares by cosine, and the metric l2"),
        ({"no_index": True}, "has the no_index True: it is the reason, a sentence"),
    ],
)
def test_a_method_that_no_index_could_be_made_for_is_refused_before_it_trains(
    attributes: dict[str, Any], said: str
) -> None:
    with pytest.raises(PluginError, match=f"the method odd-plugin:odd {said}"):
        built(Parts(method=lambda options, build: changed(Plain, **attributes)))


def test_a_method_whose_weights_would_never_learn_is_refused() -> None:
    with pytest.raises(PluginError, match=r"is no torch module and holds weights \(head\)"):
        built(Parts(method=lambda options, build: Holding()))


def test_a_loss_whose_weights_would_never_learn_is_refused() -> None:
    with pytest.raises(PluginError, match="the method odd-plugin:odd does not hold the loss"):
        built(Parts(method=lambda options, build: Plain(), loss=lambda options, build: nn.Linear(2, 2)))


@pytest.mark.parametrize(
    ("transform", "said"),
    [
        (lambda _, e: e[:, :2], r"made embeddings of shape \(2, 2\); it says \(2, \d+\)"),
        (lambda _, e: e / 0, "made NaN or infinite numbers"),
    ],
)
def test_a_transform_is_told_from_the_backbone(transform: Any, said: str) -> None:
    model, registries = built(Parts(method=lambda options, build: changed(Plain, transform=transform)))
    with pytest.raises(PluginError, match=f"the transform of the method odd-plugin:odd {said}"):
        check_embedding(model, np.ones((2, 1, 16, 16), dtype=np.float32), registries)


def test_a_transform_that_raises_names_the_parts_of_the_model() -> None:
    model, _ = built(Parts(method=lambda options, build: changed(Plain, transform=lambda _, e: e @ e)))
    with pytest.raises(PluginError, match=r"the backbone conv2 with the method odd.* raised RuntimeError"):
        model.embed_tensor(np.ones((2, 1, 16, 16), dtype=np.float32))


@pytest.mark.parametrize(
    ("compare", "said"),
    [
        (lambda _, q, s, labels: torch.zeros(len(q), len(s)), r"a tensor of shape \(1, 3\) as its scores.*\(1, 2\)"),
        (lambda _, q, s, labels: np.zeros((1, 2)), "a ndarray as its scores"),
        (lambda _, q, s, labels: torch.full((1, 2), torch.nan), "NaN among its scores"),
        (lambda _, q, s, labels: q @ s, "raised RuntimeError"),
    ],
)
def test_scores_of_another_shape_name_the_method(compare: Any, said: str) -> None:
    model, _ = built(Parts(method=lambda options, build: changed(Plain, compare=compare)))
    rows = np.ones((3, model.embedding_dim), dtype=np.float32)
    with pytest.raises(PluginError, match=f"the method odd (gave )?{said}"):
        model.compare(rows[:1], rows, np.array([0, 1, 1]))


# -------------------------------------------------------------------------------------- what samplers must be


@pytest.mark.parametrize("steps", [0, -1, 2.5, None, True])
def test_a_sampler_without_whole_steps_an_epoch_is_refused(steps: Any) -> None:
    odd = SimpleNamespace(batch=None, steps_per_epoch=steps)
    registries = load_registries(Parts(sampler=lambda options, build: odd), entry_points=False)
    with pytest.raises(PluginError, match=f"the sampler odd-plugin:odd has the steps_per_epoch {steps}, which is no"):
        make_sampler(selection(registries, "sampler", "odd"), Build(seed=0), registries)


def test_a_sampler_without_batches_is_refused_and_a_numpy_number_of_steps_is_not() -> None:
    bare = SimpleNamespace(steps_per_epoch=np.int64(3))
    registries = load_registries(Parts(sampler=lambda options, build: bare), entry_points=False)
    with pytest.raises(PluginError, match="the sampler odd-plugin:odd made a SimpleNamespace without batch"):
        make_sampler(selection(registries, "sampler", "odd"), Build(seed=0), registries)
    bare.batch = None
    assert make_sampler(selection(registries, "sampler", "odd"), Build(seed=0), registries).steps_per_epoch == 3


# ---------------------------------------------------------------------------------------- engines in an index


class Forgetful(FlatEngine):
    """Loses a vector."""

    def holding(self, ids: Any, vectors: Any, changed: Any = None) -> Any:
        return FlatEngine("l2", ids[1:], vectors[1:])


class Silent(FlatEngine):
    """Cannot be asked; approximate, so that it has to be."""

    exact: Any = False

    def holding(self, ids: Any, vectors: Any, changed: Any = None) -> Any:
        return Silent("l2", ids, vectors)

    def search(self, queries: Any, k: int, among: Any = None) -> Any:
        raise TimeoutError("no answer")


def index_over(engine: type[FlatEngine]) -> Index:
    metric: Metric = "l2"
    plugin = Parts(engine=lambda options, build: engine(metric))
    return Index(metric=metric, class_rule="nearest", dim=3, engine=nearkin.engine("odd", plugins=[plugin]))


def test_an_engine_that_loses_vectors_is_named() -> None:
    with pytest.raises(PluginError, match="the engine Forgetful holds 1 vectors after it was given 2"):
        index_over(Forgetful).add(np.eye(3, dtype=np.float32)[:2], ["a", "b"])


def test_an_engine_that_raises_is_named() -> None:
    index = index_over(Silent)
    index.add(np.eye(3, dtype=np.float32), ["a", "b", "b"])
    with pytest.raises(PluginError, match="the engine Silent raised TimeoutError: no answer"):
        index.query(QUERY)


class Mute(FlatEngine):
    """Cannot be written, or opened as what it was."""

    def holding(self, ids: Any, vectors: Any, changed: Any = None) -> Any:
        return Mute("l2", ids, vectors)

    def write(self, file: Any) -> None:
        raise TypeError("no bytes")


class Absent(FlatEngine):
    """Opens as nothing."""

    def holding(self, ids: Any, vectors: Any, changed: Any = None) -> Any:
        return Absent("l2", ids, vectors)

    def opened(self, data: Any, ids: Any, vectors: Any) -> Any:
        return Absent("l2")


class Strange(Silent):
    """Proposes what there is not."""

    def holding(self, ids: Any, vectors: Any, changed: Any = None) -> Any:
        return Strange("l2", ids, vectors)

    def search(self, queries: Any, k: int, among: Any = None) -> Any:
        return Hits(np.array([-7]), np.zeros(1, np.float32), np.array([1]), np.zeros(1, np.float32))


def test_an_engine_that_proposes_what_there_is_not_is_named() -> None:
    index = index_over(Strange)
    index.add(np.eye(3, dtype=np.float32), ["a", "b", "b"])
    with pytest.raises(PluginError, match="the engine Strange proposes none of the 3 references for a query"):
        index.query(QUERY)


def test_an_engine_that_cannot_be_saved_or_opened_is_named(tmp_path: Path) -> None:
    for engine in (Mute, Absent):
        index = index_over(engine)
        index.add(np.eye(3, dtype=np.float32), ["a", "b", "b"])
        with pytest.raises(PluginError, match=r"the engine odd-plugin:odd (raised TypeError: no byte|holds 0 vector)"):
            _saved_and_opened(index, engine, tmp_path / engine.__name__)


def _saved_and_opened(index: Index, engine: type[FlatEngine], folder: Path) -> None:
    index.save(folder)
    nearkin.load_index(folder, plugins=[Parts(engine=lambda options, build: engine("l2"))])


@pytest.mark.parametrize(
    ("attributes", "said"), [({"fewest": None}, "the fewest None"), ({"nearest": 2.0}, r"the nearest 2\.0")]
)
def test_a_score_without_whole_numbers_is_refused(attributes: dict[str, Any], said: str) -> None:
    choice = nearkin.score("odd", plugins=[Parts(score=lambda options, build: changed(Nearest, **attributes))])
    with pytest.raises(PluginError, match=f"the score odd-plugin:odd has {said}, which is no whole number above 0"):
        choice.make(Build(seed=0, metric="l2", embedding_dim=3))


# ----------------------------------------------------------------------------------- saved indexes and models


class Nearest:
    """A score that is right: the distance to the nearest reference."""

    fewest = 1
    nearest = None

    def fit(self, vectors: Any, codes: Any) -> Any:
        own = [vectors[codes == code] for code in range(codes.max() + 1)]
        return lambda queries: np.stack([np.abs(queries[:, None] - one).sum(axis=2).min(axis=1) for one in own], axis=1)


def test_an_index_opens_calibrated_where_the_plugin_that_made_it_is_given_another_way(tmp_path: Path) -> None:
    plugin = Parts(engine=lambda options, build: FlatEngine("l2"), score=lambda options, build: Nearest())
    engine, score = nearkin.engine("odd", plugins=[plugin]), nearkin.score("odd", plugins=[plugin])
    index = Index(metric="l2", class_rule="nearest", dim=3, engine=engine, score=score, alpha=0.2)
    index.add(np.eye(3, dtype=np.float32), ["a", "b", "b"])
    drawn = np.random.default_rng(0).random((20, 3), dtype=np.float32)
    index.calibrate(drawn, ["a", "b"] * 10)
    index.save(tmp_path / "index")
    plugin.__name__ = "odd_plugin.py"
    again = nearkin.load_index(tmp_path / "index", plugins=[plugin])
    assert again.query(QUERY) == index.query(QUERY)
    assert again.query(QUERY).p_values


# ------------------------------------------------------------------------------------------------ saved options


class Aliased(Options):
    """An option whose name in a recipe is no name in Python."""

    lambda_: float = Field(0.5, alias="lambda")


def test_options_with_another_name_in_the_recipe_are_saved_by_that_name() -> None:
    plugin = Parts(options=Aliased, backbone=lambda options, build: Flat(), score=broken)
    model, registries = built(plugin, **{"lambda": 0.25})
    again = load_model(model.files(), registries, "here")
    assert cast(Aliased, again.blueprint.backbones[0].options).lambda_ == 0.25


def test_a_saved_model_whose_plugin_raises_now_names_place_and_part() -> None:
    model, _ = built(Parts(backbone=lambda options, build: Flat()))
    with pytest.raises(DamagedError, match=r"here: .* plugin changed: the backbone odd-plugin:odd raised"):
        load_model(model.files(), load_registries(Parts(backbone=broken), entry_points=False), "here")


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"metric": "l1"}, "was trained with the metric l2, and has l1 by what is installed here: its plugin changed"),
        ({"class_rule": "prototype"}, "was trained with the class_rule nearest, and has prototype"),
    ],
)
def test_a_saved_model_whose_method_compares_in_another_way_now_is_refused(
    attributes: dict[str, Any], said: str
) -> None:
    model, _ = built(Parts(method=lambda options, build: Plain()))
    other = load_registries(Parts(method=lambda options, build: changed(Plain, **attributes)), entry_points=False)
    with pytest.raises(DamagedError, match=f"here: {said}"):
        load_model(model.files(), other, "here")


def test_a_saved_model_whose_plugin_is_missing_says_how_to_give_it() -> None:
    model, _ = built(Parts(backbone=lambda options, build: Flat()))
    with pytest.raises(PluginError, match=r"unknown backbone 'odd'\. Install the plugin .*--plugin FILE or plugins="):
        load_model(model.files(), load_registries(entry_points=False), "here")
