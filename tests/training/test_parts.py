"""Schedules, augmentation and the select score are what they say."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

import nearkin
from nearkin.augment import augment, draw_grids, random_affine, turned, warp
from nearkin.blueprint import Blueprint
from nearkin.data.extra import TrainingClasses, variants
from nearkin.errors import DataError, UsageError
from nearkin.model import build_model
from nearkin.recipe.data_options import ExtraClassesOptions
from nearkin.recipe.model import Selection
from nearkin.recipe.train_options import AugmentOptions, OptimizerOptions, ScheduleOptions
from nearkin.training.images import Batches, LabelledImages, refuse_oblong
from nearkin.training.schedule import make_optimizer, rate_factor, set_rate
from nearkin.training.selection import pair_auc, refuse_unjudgeable


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


def test_stretch_and_shear_keep_the_area_or_the_axes() -> None:
    stretched = random_affine(500, AugmentOptions(stretch=0.3))[:, :, :2]
    assert torch.allclose(torch.linalg.det(stretched), torch.ones(500), atol=1e-5)
    ratio = stretched[:, 1, 1] / stretched[:, 0, 0]
    assert 0.7 <= ratio.min() < 0.75
    assert 1.25 < ratio.max() <= 1.3
    sheared = random_affine(500, AugmentOptions(shear=20))[:, :, :2]
    slant = torch.rad2deg(torch.atan(torch.stack([sheared[:, 0, 1], sheared[:, 1, 0]])))
    assert 19 < slant.abs().max() <= 20.001
    assert torch.allclose(sheared[:, 0, 0], torch.ones(500))


def test_an_oblong_image_turns_and_does_not_slant(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a quarter, a bar that lies is a bar that stands, of the same pixels."""
    monkeypatch.setattr("nearkin.augment._uniform", lambda *shape, generator=None: torch.ones(shape))
    image = torch.zeros(1, 1, 32, 64)
    image[:, :, 14:18, 22:42] = 1
    seen = warp(image, draw_grids(1, (32, 64), AugmentOptions(degrees=90)))[0, 0] > 0.5
    rows, columns = seen.nonzero().T
    assert (int(rows.max() - rows.min()) + 1, int(columns.max() - columns.min()) + 1) == (20, 4)


def test_elastic_warping_moves_every_point_a_little_and_smoothly() -> None:
    still = draw_grids(50, (20, 20), AugmentOptions())
    moved = draw_grids(50, (20, 20), AugmentOptions(elastic=0.05)) - still
    assert 0.05 < moved.abs().max() < 0.15  # a share of the side is twice as much of [-1, 1]; cubics overshoot
    assert (moved[:, 1:] - moved[:, :-1]).abs().max() < 0.06


def test_warping_options_that_are_off_draw_nothing() -> None:
    torch.manual_seed(0)
    before = random_affine(3, AugmentOptions(degrees=5))
    torch.manual_seed(0)
    assert torch.equal(random_affine(3, AugmentOptions(degrees=5, shear=10))[:, :, 2], before[:, :, 2])


def test_extra_classes_turn_images_of_the_batch_counterclockwise_after_mirroring() -> None:
    ways = variants(ExtraClassesOptions(rotations=(270, 90), mirror=True))
    assert [way.name("a/b") for way in ways] == [
        "a/b", "a/b@90", "a/b@270", "a/b@mirror", "a/b@mirror90", "a/b@mirror270",
    ]  # fmt: skip
    images = torch.arange(6 * 4).float().reshape(6, 1, 2, 2)
    made = turned(images, torch.arange(6), ways)
    for row, way in enumerate(ways):
        plain = images[row, 0].numpy()
        expected = np.rot90(np.fliplr(plain) if way.mirrored else plain, way.quarter_turns)
        assert np.array_equal(made[row, 0].numpy(), expected)


def test_items_of_extra_classes_are_the_same_images_and_classes_of_their_own() -> None:
    classes = TrainingClasses.of(("x", "y"), np.array([0, 1, 1]), ExtraClassesOptions(rotations=(180,)))
    assert classes.names == ("x", "y", "x@180", "y@180")
    assert classes.codes.tolist() == [0, 1, 1, 2, 3, 3]
    pixels = np.random.default_rng(0).random((3, 1, 4, 4), dtype=np.float32)
    given = LabelledImages("train", ("p", "q", "r"), pixels, classes.codes, classes.variants)
    images, labels = Batches(given, None, torch.device("cpu")).of(np.array([1, 4]))
    assert labels.tolist() == [1, 3]
    assert np.array_equal(images[0].numpy(), pixels[1])
    assert np.array_equal(images[1].numpy(), pixels[1, :, ::-1, ::-1])
    assert given.names(np.array([1, 4])) == ["q", "q"]


def test_a_quarter_turn_of_an_oblong_image_is_refused() -> None:
    ways = variants(ExtraClassesOptions(rotations=(90,)))
    with pytest.raises(DataError, match="quarter turns need square images, and the backbone takes 32 x 64"):
        refuse_oblong((32, 64), ways)
    refuse_oblong((32, 64), variants(ExtraClassesOptions(rotations=(180,), mirror=True)))


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


def test_an_image_alone_in_its_class_is_a_distractor_and_no_query() -> None:
    points = np.array([0, 1, 5, 6, 2], dtype=np.float32)[:, None]
    # The point at 1 is as far from its own at 0 as from the lone one at 2; the other three lie nearest their own.
    assert pair_auc(points, np.array([0, 0, 1, 1, 2]), "l2") == pytest.approx((3 + 5 / 6) / 4)
    with pytest.raises(DataError, match="no image has both"):
        refuse_unjudgeable(np.array([0, 1, 2]))
    with pytest.raises(DataError, match="no image has both"):
        refuse_unjudgeable(np.array([1, 1, 1]))
    refuse_unjudgeable(np.array([0, 1, 1]))


def test_a_model_of_which_nothing_learns_is_refused() -> None:
    registries = nearkin.load_registries(entry_points=False)
    component, method = registries.backbone.get("conv2"), registries.method.get("embedding")
    backbone = Selection("backbone", "conv2", component.options(width=4, freeze="all"))
    model = build_model(
        Blueprint(0, ("a", "b"), (backbone,), Selection("method", "embedding", method.options()), None), registries
    )
    with pytest.raises(UsageError, match="nothing of this model learns: its backbone is frozen"):
        make_optimizer(model, OptimizerOptions())


def test_the_trunk_moves_at_its_own_rate_and_the_head_at_the_full_one() -> None:
    registries = nearkin.load_registries(entry_points=False)
    component, method = registries.backbone.get("conv2"), registries.method.get("classifier")
    backbone = Selection("backbone", "conv2", component.options(width=4, embedding_dim=3))
    model = build_model(
        Blueprint(0, ("a", "b"), (backbone,), Selection("method", "classifier", method.options()), None), registries
    )
    optimizer = make_optimizer(model, OptimizerOptions(lr=0.1, backbone_lr=0.01))
    set_rate(optimizer, 0.05)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    named = {name: rates[id(parameter)] for name, parameter in model.named_parameters()}
    assert {round(rate, 9) for name, rate in named.items() if "blocks" in name} == {0.005}
    assert {rate for name, rate in named.items() if "blocks" not in name} == {0.05}


def test_a_temperature_without_contrast_is_refused_and_the_written_default_is_not() -> None:
    options = nearkin.load_registries(entry_points=False).method.get("classifier").options
    with pytest.raises(ValueError, match="temperature is of the contrast, and contrast is 0"):
        options(temperature=0.5)
    assert options(**options().model_dump()) == options()
    assert options(contrast=1.0, temperature=0.5)
