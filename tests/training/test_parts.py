"""Schedules, augmentation and the select score are what they say."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

import nearkin
from nearkin.model import Blueprint, build_model
from nearkin.recipe.model import AugmentOptions, OptimizerOptions, ScheduleOptions, Selection
from nearkin.training.augment import augment, random_affine
from nearkin.training.schedule import make_optimizer, rate_factor, set_rate
from nearkin.training.selection import pair_auc


def test_a_schedule_rises_then_falls() -> None:
    cosine = ScheduleOptions(type="cosine", warmup=10)
    factors = [rate_factor(step, 100, cosine) for step in range(100)]
    assert factors[:10] == pytest.approx([(step + 1) / 11 for step in range(10)])
    assert factors[10] == 1
    assert all(later < earlier for earlier, later in pairwise(factors[10:]))
    assert 0 < factors[-1] < 0.001


def test_no_augmentation_leaves_images_as_they_are() -> None:
    images = torch.rand(3, 1, 20, 20)
    assert torch.allclose(augment(images, AugmentOptions()), images, atol=1e-5)


def test_augmentation_stays_within_its_bounds() -> None:
    maps = random_affine(1000, AugmentOptions(degrees=15, translate=0.1, scale=0.2))
    zoom = 1 / torch.linalg.det(maps[:, :, :2]).sqrt()
    turn = torch.rad2deg(torch.atan2(maps[:, 1, 0], maps[:, 0, 0]))
    assert 0.8 <= zoom.min() < 0.85
    assert 1.15 < zoom.max() <= 1.2
    assert 14 < turn.abs().max() <= 15.001
    assert 0.18 < maps[:, :, 2].abs().max() <= 0.2  # half the image is one unit of affine_grid


def test_a_pure_shift_moves_pixels() -> None:
    torch.manual_seed(0)
    images = torch.zeros(1, 1, 21, 21)
    images[0, 0, 10, 10] = 1
    moved = augment(images, AugmentOptions(translate=0.3))
    assert moved[0, 0, 10, 10] < 0.5
    assert moved.sum() == pytest.approx(1, abs=0.05)


def test_pair_auc_is_the_mean_of_scikit_learns_over_queries() -> None:
    rng = np.random.default_rng(0)
    embeddings, labels = rng.integers(0, 4, (15, 3)).astype(np.float32), np.repeat([0, 1, 2], 5)
    apart = np.abs(embeddings[:, None] - embeddings[None]).sum(-1)
    expected = []
    for i in range(15):
        others = np.arange(15) != i
        expected.append(roc_auc_score((labels == labels[i])[others], -apart[i][others]))
    assert pair_auc(embeddings, labels, "l1") == pytest.approx(np.mean(expected))


def test_an_embedding_that_says_nothing_scores_one_half() -> None:
    assert pair_auc(np.ones((6, 2), dtype=np.float32), np.array([0, 0, 1, 1, 2, 2]), "l2") == 0.5


def test_the_trunk_moves_at_its_own_rate_and_the_head_at_the_full_one() -> None:
    registries = nearkin.load_registries(entry_points=False)
    component, method = registries.backbone.get("conv2"), registries.method.get("classifier")
    backbone = Selection("backbone", "conv2", component.options(width=4, embedding_dim=3))
    model = build_model(
        Blueprint(0, ("a", "b"), backbone, Selection("method", "classifier", method.options()), None), registries
    )
    optimizer = make_optimizer(model, OptimizerOptions(lr=0.1, backbone_lr=0.01))
    set_rate(optimizer, 0.05)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    named = {name: rates[id(parameter)] for name, parameter in model.named_parameters()}
    assert {round(rate, 9) for name, rate in named.items() if "blocks" in name} == {0.005}
    assert {rate for name, rate in named.items() if "blocks" not in name} == {0.05}
