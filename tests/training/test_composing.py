"""Classes made of two: the same picture of both for every image of the class, new codes, all others untouched."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import nearkin
from nearkin.contracts import Episode
from nearkin.data.extra import AS_IT_IS, Variant
from nearkin.errors import RecipeError, UsageError
from nearkin.recipe.train_options import AugmentOptions
from nearkin.training.composing import Layout, by_class, composed, draw_layouts, ground_of, placed
from nearkin.training.images import Batches, LabelledImages

SIDE = 32
LABELS = torch.tensor([4, 1, 9, 6, 4, 1, 9, 6])
"""Four classes: an image of support and one of the queries each."""


def signs(ground: float = 1.0) -> Tensor:
    """(8, 1, 32, 32): each class a bar of its own place, about a plain ground, the second image moved a little."""
    images = torch.full((8, 1, SIDE, SIDE), ground)
    for row in range(8):
        at = 6 + 5 * (row % 4) + row // 4
        images[row, 0, 8:24, at : at + 3] = 1 - ground
    return images


@pytest.mark.parametrize(("share", "made"), [(0.5, 2), (0.3, 1), (0.1, 1)])
def test_so_many_classes_are_new_and_all_others_are_untouched(share: float, made: int) -> None:
    given = signs()
    torch.manual_seed(0)
    images, labels = composed(given, LABELS, share)
    new = labels > LABELS.max()
    assert len(labels[new].unique()) == made
    assert torch.equal(labels[~new], LABELS[~new])
    assert torch.equal(images[~new], signs()[~new])
    assert torch.equal(labels[:4], labels[4:])
    assert not any(torch.equal(images[row], signs()[row]) for row in new.nonzero().flatten())
    assert torch.equal(given, signs())


def test_a_new_class_holds_both_of_its_signs_in_one_layout() -> None:
    """Rebuilt from the same draws by hand: smaller copies of two classes' images at opposite places."""
    torch.manual_seed(3)
    images, labels = composed(signs(), LABELS, 0.5)
    torch.manual_seed(3)
    order, layout = torch.randperm(4), draw_layouts(2)
    codes = LABELS.unique()
    for place in range(2):
        one, other = (codes[order[place]] == LABELS).nonzero().flatten(), (codes[order[2 + place]] == LABELS).nonzero()
        apart = Layout(layout.scale[[place, place]], layout.shift[[place, place]])
        first = placed(signs()[one] - 1, Layout(apart.scale, -apart.shift))
        second = placed(signs()[other.flatten()] - 1, apart)
        np.testing.assert_allclose(images[one], torch.minimum(first, second) + 1, atol=1e-6)
        assert labels[one].unique().item() == 10 + place


def test_both_signs_lie_inside_the_picture_and_beside_each_other_half_the_time() -> None:
    layout = draw_layouts(4000)
    assert (layout.shift.abs() + layout.scale <= 1 + 1e-6).all()
    beside = ((layout.scale == 0.5) & (layout.shift == 0.5)).any(dim=1)
    assert 0.45 < beside.float().mean() < 0.55
    assert 0.45 < (layout.scale[:, 0] < layout.scale[:, 1])[beside].float().mean() < 0.55
    assert layout.scale[~beside].min() >= 0.55
    assert layout.scale[~beside].max() <= 0.75


def test_dark_signs_on_light_and_light_ones_on_dark_are_the_same_pictures() -> None:
    torch.manual_seed(1)
    dark, _ = composed(signs(1.0), LABELS, 0.5)
    torch.manual_seed(1)
    light, _ = composed(signs(0.0), LABELS, 0.5)
    torch.testing.assert_close(light, 1 - dark)


def test_the_ground_is_that_of_each_channel() -> None:
    images = torch.tensor([0.1, 0.5, 0.9])[None, :, None, None].repeat(4, 1, 8, 8)
    images[:, :, 3:5, 2:6] = 0
    torch.testing.assert_close(ground_of(images).flatten(), torch.tensor([0.1, 0.5, 0.9]))


@pytest.mark.parametrize("labels", [[0, 0, 1], [0, 0, 0]])
def test_classes_of_unequal_size_or_one_alone_are_refused(labels: list[int]) -> None:
    with pytest.raises(UsageError, match=r"train.augment.compose .* equally many images, and this batch has"):
        by_class(torch.tensor(labels))


def test_of_two_colours_one_stays_and_none_is_mixed() -> None:
    images = torch.zeros(4, 3, SIDE, SIDE)
    images[[0, 2], 0] = images[[1, 3], 1] = 1.0  # red all over, green all over, but for the edges
    images[:, :, [0, -1]] = images[:, :, :, [0, -1]] = 0.0
    for seed in range(8):
        torch.manual_seed(seed)
        made, _ = composed(images, torch.tensor([0, 1, 0, 1]), 0.5)
        assert torch.minimum(made[:, 0], made[:, 1]).max() == 0


def test_a_batch_composes_what_was_turned_before_it_warps_and_follows_the_generator() -> None:
    variants = (AS_IT_IS, Variant(quarter_turns=1))
    codes = np.concatenate([LABELS.numpy(), LABELS.numpy() + 10])
    given = LabelledImages("train", tuple("abcdefgh"), signs().numpy(), codes, variants)
    batches = Batches(given, AugmentOptions(compose=0.5), torch.device("cpu"))
    items = np.array([0, 1, 2, 11, 4, 5, 6, 15])
    made = []
    for _ in range(2):
        torch.manual_seed(5)
        made.append(batches.of(items))
    assert torch.equal(made[0][0], made[1][0])
    assert torch.equal(made[0][1], made[1][1])
    upright = signs()
    upright[[3, 7]] = torch.rot90(upright[[3, 7]], dims=(2, 3))
    torch.manual_seed(5)
    images, labels = composed(upright, torch.from_numpy(codes[items]), 0.5)
    assert torch.equal(made[0][0], images)
    assert torch.equal(made[0][1], labels)


RECIPE = """
name: composed
seed: 0
data: {source: digits, known: ["0", "1", "2", "3"], shots: 4, select: 0, calibrate: 0, test: 4}
backbone: {type: conv2, image_size: 16, width: 4}
method: {type: embedding}
loss: {type: contrastive}
sampler: {type: m_per_class, m: 2}
train: {steps: 2, early_stopping: null, augment: {compose: 0.25}}
"""


def test_a_sampler_without_episodes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(RECIPE)
    with pytest.raises(RecipeError, match=r"train.augment.compose: .* 'm_per_class' yields no episodes"):
        nearkin.train(tmp_path / "r.yaml", runs=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["r.yaml"]


def test_an_episode_keeps_its_places() -> None:
    """The structure names places in the batch, which stay; support and queries of a new class have one code."""
    torch.manual_seed(2)
    _, labels = composed(signs(), LABELS, 0.5)
    episode = Episode(torch.arange(4), torch.arange(4, 8))
    assert torch.equal(labels[episode.support], labels[episode.query])
