"""The task of telling turns trains beside the main one, follows the seed, and leaves the model as it was without it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import nearkin
from nearkin.blueprint import Blueprint
from nearkin.errors import UsageError
from nearkin.model import Model, build_model, load_model
from nearkin.recipe.model import Selection
from nearkin.recipe.train_options import OptimizerOptions
from nearkin.training.schedule import make_optimizer
from nearkin.training.watch import Watch

REGISTRIES = nearkin.load_registries(entry_points=False)


def selection(kind: Any, name: str, **options: Any) -> Selection:
    return Selection(kind, name, REGISTRIES.of(kind).get(name).options(**options))


def model(rotation: float | None = 1.0, **backbone: Any) -> Model:
    chosen = selection("backbone", "conv2", **{"image_size": 16, "width": 8, **backbone})
    parts = selection("method", "embedding"), selection("loss", "contrastive")
    return build_model(replace(Blueprint(0, ("a", "b"), (chosen,), *parts), rotation=rotation), REGISTRIES)


def arrows(n: int) -> torch.Tensor:
    """(n, 1, 16, 16) with a bright bar at the top: what is up can be seen."""
    images = torch.rand(n, 1, 16, 16, generator=torch.Generator().manual_seed(0)) * 0.2
    images[:, :, :4, 4:12] = 1
    return images


def test_turns_are_learned() -> None:
    net, images = model(), arrows(32)
    assert net.rotation is not None
    optimizer = make_optimizer(net, OptimizerOptions(type="adam", lr=0.01))
    losses = []
    torch.manual_seed(0)
    for _ in range(40):
        optimizer.zero_grad()
        loss = net.rotation(images, net.backbone)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] > 1.0
    assert losses[-1] < 0.2


def test_the_loss_is_the_methods_and_the_weighted_tasks() -> None:
    images, labels = arrows(8), torch.arange(8) % 2

    def loss(rotation: float | None) -> float:
        torch.manual_seed(1)
        with torch.no_grad():
            return float(model(rotation)(images, labels, None).loss)

    task = loss(1.0) - loss(None)
    assert task > 0.5
    assert loss(3.0) - loss(None) == pytest.approx(3 * task, rel=1e-4)


def test_without_it_a_model_is_what_it_was_and_with_it_the_first_weights_are_the_same() -> None:
    plain, taught = model(None), model()
    assert b"rotation" not in dict(plain.files())["model.json"]
    images = arrows(2).numpy()
    np.testing.assert_array_equal(plain.eval().embed_tensor(images), taught.eval().embed_tensor(images))
    again = load_model(dict(taught.files()), REGISTRIES, "here")
    np.testing.assert_array_equal(again.embed_tensor(images), taught.embed_tensor(images))


def test_a_backbone_that_cannot_learn_it_is_refused() -> None:
    with pytest.raises(UsageError, match=r"train\.rotation needs a last stage that learns"):
        model(freeze="all", embedding_dim=4)


def test_a_run_with_it_resumes_to_the_same_bits_and_its_last_stage_is_a_space(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(
        'name: turned\ndata: {source: digits, known: ["0", "1"], shots: 4, select: 2, calibrate: 9, test: 12}\n'
        "backbone: {type: conv2, image_size: 16, width: 4}\nmethod: {type: embedding}\nloss: {type: contrastive}\n"
        "sampler: {type: balanced_pairs, pairs: 6}\ntrain: {steps: 6, rotation: 0.5, checkpoint_every: 2}\n"
        "unknown: {space: {type: features, stages: [2], weights: trained}}\n"
    )
    whole = nearkin.train(tmp_path / "r.yaml", runs=tmp_path / "a", watch=Watch())

    class Killed(Exception):
        """In the middle."""

    def stop(text: str, done: int, total: int) -> None:
        if text.startswith("training") and done == 5:
            raise Killed

    with pytest.raises(Killed):
        nearkin.train(tmp_path / "r.yaml", runs=tmp_path / "b", watch=Watch(progress=stop))
    resumed = nearkin.resume(tmp_path / "b" / "turned" / "1", watch=Watch())
    assert resumed.model_digest == whole.model_digest
    assert resumed.index.settings.space is not None
