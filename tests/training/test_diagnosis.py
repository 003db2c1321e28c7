"""Training that goes wrong says so in a plain sentence; training that goes well says nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import nearkin
from nearkin import load_registries
from nearkin.blueprint import Blueprint
from nearkin.contracts import Register
from nearkin.hookspecs import hookimpl
from nearkin.model import Model, build_model
from nearkin.recipe.model import Selection
from nearkin.training.diagnosis import EVERY, Diagnosis, effective_rank, spread
from nearkin.training.watch import Watch
from tests.training.test_trainer import CLASSES, KilledError, stopping_at, trainer

Loss = Callable[[Tensor, Tensor], Tensor]


def to_a_point(embeddings: Tensor, labels: Tensor) -> Tensor:
    return (embeddings - 1).square().mean()


def to_a_line(embeddings: Tensor, labels: Tensor) -> Tensor:
    """Every class at its own place of one direction."""
    return (embeddings[:, 0] - labels).square().mean() + 10 * embeddings[:, 1:].square().sum(dim=1).mean()


def to_nothing(embeddings: Tensor, labels: Tensor) -> Tensor:
    return (embeddings * 0).sum() + 0.25


class Wrong:
    """A plugin with a loss that trains the wrong thing."""

    nearkin_api = 1

    def __init__(self, loss: Loss) -> None:
        self.loss = loss

    @hookimpl
    def nearkin_losses(self, register: Register) -> None:
        register("wrong", lambda _options, _build: self._called, takes=("pairs",), summary="Wrong.")

    def _called(self, embeddings: Tensor, labels: Tensor, indices_tuple: Any = None) -> Tensor:
        return self.loss(embeddings, labels)


def model(loss: str, *plugins: Any, normalize: bool = True, **options: Any) -> Model:
    registries = load_registries(*plugins, entry_points=False)

    def chosen(kind: Any, name: str, **said: Any) -> Selection:
        return Selection(kind, name, registries.of(kind).get(name).options.model_validate_json(json.dumps(said)))

    method = chosen("method", "embedding", metric="l2", normalize=normalize)
    backbone = chosen("backbone", "conv2", image_size=16, width=4, embedding_dim=8)
    return build_model(Blueprint(0, CLASSES, (backbone,), method, chosen("loss", loss, **options)), registries)


def warnings_of(folder: Path, made: Model, **options: Any) -> list[str]:
    """The sentences of a whole training, as they are told; metrics and outcome hold the same."""
    told: list[str] = []
    settings = {"steps": 120, "optimizer": {"lr": 0.01}, "schedule": {"type": "constant"}, **options}
    run = trainer(folder, of=made, select=False, **settings)
    run.on_warning = told.append
    outcome = run.run()
    lines = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    assert [sentence for line in lines for sentence in line.get("warnings", ())] == told == list(outcome.warnings)
    return told


def test_embeddings_that_all_become_alike(tmp_path: Path) -> None:
    (said,) = warnings_of(tmp_path, model("wrong", Wrong(to_a_point), normalize=False), optimizer={"lr": 0.03})
    assert said.startswith("all embeddings are alike since step ")
    assert "lower train.optimizer.lr, or use another miner" in said


def test_a_margin_that_only_pulls_makes_embeddings_alike(tmp_path: Path) -> None:
    said = warnings_of(tmp_path, model("contrastive", neg_margin=1e-6), steps=200, optimizer={"lr": 0.03})
    assert said
    assert said[0].startswith("all embeddings are alike since step ")


def test_embeddings_on_one_line(tmp_path: Path) -> None:
    said = warnings_of(tmp_path, model("wrong", Wrong(to_a_line), normalize=False), steps=250, optimizer={"lr": 0.1})
    assert said
    assert said[0].startswith("all embeddings lie on one line since step ")
    assert "effective rank 1." in said[0]


def test_no_active_pair(tmp_path: Path) -> None:
    (said,) = warnings_of(tmp_path, model("contrastive", pos_margin=2.0, neg_margin=1e-6))
    assert said.startswith("no pair or triplet has cost anything since step 10, so nothing is learned from them")


def test_a_loss_that_stays(tmp_path: Path) -> None:
    (said,) = warnings_of(tmp_path, model("wrong", Wrong(to_nothing)))
    assert said.startswith("the loss is 0.25 at every step since 1, whatever the batch: nothing is learned.")


@pytest.mark.parametrize("loss", ["contrastive", "multi_similarity", "generalized_lifted_structure"])
def test_a_healthy_training_says_nothing(tmp_path: Path, loss: str) -> None:
    assert not warnings_of(tmp_path, model(loss), steps=200, optimizer={"lr": 0.001})


def test_every_tenth_step_has_a_reading_and_the_others_none(tmp_path: Path) -> None:
    made = trainer(tmp_path, of=model("contrastive"), select=False, steps=25)
    made.run()
    lines = [json.loads(line) for line in made.metrics.read_text().splitlines()]
    assert len(lines) == 25
    for line in lines:
        shown = {"spread", "effective_rank", "active"} & set(line)
        assert shown == ({"spread", "effective_rank", "active"} if line["step"] % EVERY == 0 else set())


def test_a_resumed_run_tells_what_the_uninterrupted_one_tells(tmp_path: Path) -> None:
    def made(folder: str) -> Any:
        settings = {"steps": 120, "optimizer": {"lr": 0.03}, "schedule": {"type": "constant"}, "checkpoint_every": 5}
        return trainer(
            tmp_path / folder, of=model("wrong", Wrong(to_a_point), normalize=False), select=False, **settings
        )

    whole, killed = made("whole"), made("parts")
    outcome = whole.run()
    killed.on_step = stopping_at(97)
    with pytest.raises(KilledError):
        killed.run()
    resumed = made("parts")
    resumed.restore()
    assert resumed.run().warnings == outcome.warnings != ()
    assert resumed.metrics.read_text() == whole.metrics.read_text()


def test_it_is_told_to_the_watch_and_kept_with_the_run(tmp_path: Path) -> None:
    recipe = tmp_path / "pulls.yaml"
    recipe.write_text(
        "name: pulls\n"
        'data: {source: digits, known: ["0", "1", "2"], shots: 4, select: 0, calibrate: 0, test: 4}\n'
        "backbone: {type: conv2, image_size: 16, width: 4}\n"
        "method: {type: embedding}\n"
        "loss: {type: contrastive, pos_margin: 2.0, neg_margin: 1.0e-6}\n"
        "sampler: {type: balanced_pairs, pairs: 8}\n"
        "train: {steps: 60, early_stopping: null}\n"
    )
    told: list[str] = []
    run = nearkin.train(recipe, runs=tmp_path / "runs", watch=Watch(message=told.append))
    (said,) = run.facts["warnings"]
    assert f"warning: {said}" in told
    assert [line["warnings"] for line in run.metrics if "warnings" in line] == [[said]]


def test_each_symptom_must_last_and_is_told_once() -> None:
    def lines(*spreads: float) -> list[dict[str, Any]]:
        return [{"step": 10 * n, "loss": 1 / n, "spread": each} for n, each in enumerate(spreads, start=1)]

    def told(*spreads: float) -> list[str]:
        diagnosis = Diagnosis()
        for line in lines(*spreads):
            diagnosis.read(line)
        return diagnosis.warnings

    assert not told(0.5, 0.001, 0.001, 0.5, 0.001, 0.001, 0.5)
    (said,) = told(0.5, 0.001, 0.001, 0.001, 0.5, 0.001, 0.001, 0.001, 0.001)
    assert said.startswith("all embeddings are alike since step 20:")


def test_spread_and_effective_rank_are_those_of_float64() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(30, 12)) * np.geomspace(1, 1e-2, 12) + 0.3
    centered = rows - rows.mean(axis=0)
    shares = np.linalg.svd(centered, compute_uv=False)
    shares = shares / shares.sum()
    vectors = torch.from_numpy(rows.astype(np.float32))
    assert effective_rank(vectors) == pytest.approx(np.exp(-(shares * np.log(shares)).sum()), rel=1e-3)
    assert spread(vectors) == pytest.approx(np.sqrt((centered**2).sum() / (rows**2).sum()), rel=1e-5)


@pytest.mark.parametrize("dims", [4, 40])
def test_planted_spreads_and_ranks_are_found(dims: int) -> None:
    rng = torch.Generator().manual_seed(0)
    same, line = torch.ones(20, dims), torch.randn(20, 1, generator=rng) * torch.randn(1, dims, generator=rng) + 3
    assert spread(same) == 0
    assert spread(torch.zeros(20, dims)) == 0
    assert effective_rank(same) == pytest.approx(1, abs=0.01)
    assert effective_rank(line) == pytest.approx(1, abs=0.02)
    around = torch.cat([torch.eye(dims), -torch.eye(dims)])
    assert effective_rank(around) == pytest.approx(dims, rel=0.01)
    assert spread(around) == pytest.approx(1)
