"""Losses with weights or a memory: trained, saved with the model, and resumed to the same bits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator

import nearkin
from nearkin import load_registries
from nearkin.blueprint import Blueprint
from nearkin.contracts import Batch, Build, Register
from nearkin.errors import RecipeError
from nearkin.hookspecs import hookimpl
from nearkin.model import Model, build_model, load_model
from nearkin.recipe import parse_recipe
from nearkin.recipe.model import Selection
from nearkin.recipe.train_options import OptimizerOptions, TrainOptions
from nearkin.training.checkpoint import copy_weights
from nearkin.training.checks import BatchCheck
from nearkin.training.schedule import parameter_groups
from nearkin.training.trainer import Trainer
from nearkin.training.watch import Watch
from tests.training.test_trainer import CLASSES, KilledError, images, same, stopping_at


class Everything:
    """A plugin whose sampler gives half of all items, as labels alone."""

    nearkin_api = 1
    steps_per_epoch = 1

    @hookimpl
    def nearkin_samplers(self, register: Register) -> None:
        register("half", lambda _options, build: Half(build), yields="labels", summary="Half of all, in turn.")


class Half:
    steps_per_epoch = 2

    def __init__(self, build: Build) -> None:
        assert build.labels is not None
        self.items = len(build.labels)

    def batch(self, step: int) -> Batch:
        rng = np.random.default_rng(step)
        return Batch(items=np.sort(rng.permutation(self.items)[: self.items // 2]))


PLUGIN = Everything()
REGISTRIES = load_registries(PLUGIN, entry_points=False)


def model(loss: str, seed: int = 0, **said: Any) -> Model:
    def chosen(kind: Any, name: str, **options: Any) -> Selection:
        return Selection(kind, name, REGISTRIES.of(kind).get(name).options.model_validate_json(json.dumps(options)))

    backbone = chosen("backbone", "conv2", image_size=16, width=4, embedding_dim=8)
    return build_model(
        Blueprint(seed, CLASSES, (backbone,), chosen("method", "embedding"), chosen("loss", loss, **said)), REGISTRIES
    )


def trainer(folder: Path, of: Model, **optimizer: Any) -> Trainer:
    folder.mkdir(exist_ok=True)
    train, component = images("train", per_class=8), REGISTRIES.sampler.get("half")
    build = Build(seed=0, classes=CLASSES, labels=train.labels)
    return Trainer(
        model=of,
        sampler=component.factory(component.options(), build),
        train=train,
        select=None,
        options=TrainOptions(steps=16, checkpoint_every=3, optimizer=OptimizerOptions(**optimizer)),
        seed=0,
        metrics=folder / "metrics.jsonl",
        checkpoints=folder / "checkpoints",
        accelerator=Accelerator(cpu=True),
        check=BatchCheck(component, train.labels),
    )


REMEMBERING: list[tuple[str, dict[str, Any]]] = [
    ("arcface", {}),
    ("proxy_anchor", {}),
    ("margin", {"learn_beta": True, "beta_per_class": True, "nu": 0.1}),
    ("dynamic_soft_margin", {}),
    ("contrastive", {"memory": {"size": 40}, "miner": {"type": "pair_margin"}}),
    ("triplet_margin", {"memory": {"size": 40}}),
]


@pytest.mark.parametrize(("loss", "said"), [*REMEMBERING, ("triplet_margin", {"triplets_per_anchor": 3})])
def test_a_killed_run_resumes_to_the_same_bits(tmp_path: Path, loss: str, said: dict[str, Any]) -> None:
    whole = trainer(tmp_path / "whole", model(loss, **said))
    whole.run()
    killed = trainer(tmp_path / "parts", model(loss, **said))
    killed.on_step = stopping_at(11)
    with pytest.raises(KilledError):
        killed.run()
    resumed = trainer(tmp_path / "parts", model(loss, seed=9, **said))
    resumed.restore()
    resumed.run()
    assert same(copy_weights(resumed.model), copy_weights(whole.model))
    assert resumed.metrics.read_text() == whole.metrics.read_text()


@pytest.mark.parametrize(("loss", "said"), REMEMBERING)
def test_what_a_loss_learned_or_remembers_is_saved_with_the_model(
    tmp_path: Path, loss: str, said: dict[str, Any]
) -> None:
    made = model(loss, **said)
    before = copy_weights(made)
    trainer(tmp_path, made).run()
    after = copy_weights(made)
    own = [name for name in after if name.startswith("method.")]
    assert own
    assert any(not torch.equal(before[name], after[name]) for name in own)
    assert same(copy_weights(load_model(made.files(), REGISTRIES, "here")), after)


def test_a_losss_weights_may_learn_at_a_rate_of_their_own(tmp_path: Path) -> None:
    made = model("arcface")
    groups = parameter_groups(made, OptimizerOptions(lr=0.01, loss_lr=0.5, backbone_lr=0.001))
    assert [group["share"] * 0.01 for group in groups] == pytest.approx([0.5, 0.001]) or len(groups) == 3
    (own,) = (group for group in groups if group["share"] == 50)
    assert [id(parameter) for parameter in own["params"]] == [id(made.get_parameter("method.criterion.loss.W"))]

    def moved(**optimizer: Any) -> float:
        net = model("arcface")
        start = net.get_parameter("method.criterion.loss.W").detach().clone()
        trainer(tmp_path / str(optimizer), net, **optimizer).run()
        return float((net.get_parameter("method.criterion.loss.W").detach() - start).abs().mean())

    assert moved(lr=0.001, loss_lr=0.1) > 20 * moved(lr=0.001)


RECIPE = """\
name: rates
data: {source: digits, known: ["0", "1", "2"], shots: 4, select: 0, calibrate: 0, test: 4}
backbone: {type: conv2, image_size: 16, width: 4}
method: {type: embedding}
loss: {type: LOSS}
sampler: {type: half}
train: {steps: 4, optimizer: {loss_lr: 0.1}, early_stopping: null}
"""


def test_a_rate_for_weights_that_are_not_there_is_refused() -> None:
    parse_recipe(RECIPE.replace("LOSS", "arcface"), REGISTRIES, name="r")
    parse_recipe(RECIPE.replace("LOSS", "margin, learn_beta: true"), REGISTRIES, name="r")
    with pytest.raises(RecipeError) as caught:
        parse_recipe(RECIPE.replace("LOSS", "triplet_margin"), REGISTRIES, name="r")
    said = "r:7:31 train.optimizer.loss_lr: the loss 'triplet_margin' has no weights of its own. Delete this key."
    assert str(caught.value) == said


def test_a_miner_on_labels_trains_a_whole_run_from_a_recipe(tmp_path: Path) -> None:
    recipe = tmp_path / "mined.yaml"
    loss = "triplet_margin, margin: 0.2, distance: {type: cosine}, miner: {type: batch_hard}, memory: {size: 64}"
    recipe.write_text(RECIPE.replace("LOSS", loss).replace("{loss_lr: 0.1}", "{lr: 0.01}"))
    run = nearkin.train(recipe, plugins=[PLUGIN], runs=tmp_path / "runs", watch=Watch())
    assert run.model.method.metric == "cosine"
    again = nearkin.load_run(run.path, plugins=[PLUGIN])
    assert again.recipe == run.recipe
    assert again.recipe.method.options.model_dump() == {"metric": "cosine", "normalize": True}
    assert again.model.digest() == run.model.digest()
