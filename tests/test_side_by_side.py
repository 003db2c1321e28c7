"""Backbones side by side give what each gives alone, one after the other, each with its own images."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import nearkin
from nearkin.blueprint import Blueprint
from nearkin.contracts import Backbone, Build, InputSpec, Pairs
from nearkin.data.images import fit
from nearkin.errors import DataError, UsageError
from nearkin.making import make, make_backbone
from nearkin.model import Model, build_model, load_model
from nearkin.recipe.model import Selection
from nearkin.recipe.space import FeaturesPart
from nearkin.recipe.train_options import OptimizerOptions
from nearkin.side_by_side import Fitted, SideBySide, common_input, members_of
from nearkin.testing import BackboneContract
from nearkin.training.frozen import always_the_same
from nearkin.training.schedule import make_optimizer

REGISTRIES = nearkin.load_registries(entry_points=False)
BUILD = Build(seed=0)


def selection(kind: Any, name: str, **options: Any) -> Selection:
    return Selection(kind, name, REGISTRIES.of(kind).get(name).options(**options))


SMALL = selection("backbone", "conv2", image_size=16, width=4)
LARGE = selection("backbone", "efficientnet_lite0", image_size=32, blocks=3, embedding_dim=5, normalize=True)


def model(*backbones: Selection) -> Model:
    parts = selection("method", "embedding"), selection("loss", "contrastive")
    return build_model(Blueprint(0, ("a", "b"), backbones, *parts), REGISTRIES).eval()


def images(count: int = 3, size: int = 32) -> Any:
    return np.random.default_rng(0).random((count, 1, size, size)).astype(np.float32)


class Plain(nn.Module):
    """All that a plugin's backbone must be."""

    def __init__(self, spec: InputSpec) -> None:
        super().__init__()
        self.input, self.embedding_dim = spec, 2
        self.layer = nn.Linear(spec.channels, 2)

    def forward(self, given: Tensor) -> Tensor:
        assert given.shape[2:] == self.input.size
        made: Tensor = self.layer(given.mean(dim=(2, 3)))
        return made


def spec(size: int, **others: Any) -> InputSpec:
    return InputSpec((size, size), 1, (0.5,), (0.5,), **others)


class TestSideBySide(BackboneContract):
    def make(self, build: Build) -> Backbone:
        return make_backbone([SMALL, LARGE], build, REGISTRIES)


def test_each_gives_what_it_gives_alone() -> None:
    net = model(SMALL, LARGE)
    assert net.embedding_dim == 4 + 5
    with torch.no_grad():
        small, large = members_of(net.backbone)
        of_large = large((torch.from_numpy(images()) - 127 / 255) / (128 / 255))
        shrunk = np.stack([fit(image[0], small.input) for image in images()])
        of_small = small((torch.from_numpy(shrunk) - 0.5) / 0.5)
        alone = torch.cat([of_small, of_large], dim=1)
        torch.testing.assert_close(net.raw(torch.from_numpy(images())), alone, atol=1e-6, rtol=0)


def test_of_one_size_none_sees_another_image_than_alone() -> None:
    twice = selection("backbone", "conv2", image_size=16, width=8)
    net = model(SMALL, twice)
    given = torch.from_numpy(images(size=16))
    with torch.no_grad():
        alone = [member((given - 0.5) / 0.5) for member in members_of(net.backbone)]
        torch.testing.assert_close(net.raw(given), torch.cat(alone, 1), atol=1e-6, rtol=0)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_an_image_is_brought_to_size_as_the_data_are(interpolation: Any) -> None:
    smaller = spec(20, interpolation=interpolation)
    given = images(1, 32)
    made = Fitted(Plain(smaller), spec(32)).fit(torch.from_numpy(given))[0].numpy()
    np.testing.assert_allclose(made, fit(given[0, 0], smaller), atol=1e-5)


def test_a_member_that_crops_sees_its_own_middle_share_in_full_size() -> None:
    specs = [spec(28), spec(24, crop=0.75)]
    common = common_input(specs)
    assert common.size == (32, 32)
    middle = Fitted(Plain(specs[1]), common).fit(torch.from_numpy(images(1, 32)))
    assert middle[0].numpy() == pytest.approx(images(1, 32)[0, :, 4:28, 4:28])


def test_what_all_crop_is_cropped_once() -> None:
    common = common_input([spec(24, crop=0.8, interpolation="bicubic"), spec(16, crop=0.8)])
    assert (common.size, common.crop, common.interpolation) == ((24, 24), 0.8, "bicubic")


def test_gray_and_colour_do_not_stand_side_by_side() -> None:
    colour = selection("backbone", "conv2", image_size=16, channels=3)
    with pytest.raises(UsageError, match=r"backbone\.0 takes gray \(channels: 1\) images and backbone\.2 takes colour"):
        make_backbone([SMALL, LARGE, colour], BUILD, REGISTRIES)


def test_an_error_says_which_of_them_it_is_about() -> None:
    with pytest.raises(DataError, match=r"^backbone\.1: backbone\.freeze: 7 blocks, but this backbone has 2"):
        make_backbone([SMALL, selection("backbone", "conv2", freeze=7)], BUILD, REGISTRIES)


def test_two_that_begin_at_random_differ() -> None:
    first, second = members_of(make_backbone([SMALL, SMALL], BUILD, REGISTRIES))
    made = [member.blocks[0][0].weight for member in (first, second)]  # type: ignore[attr-defined]
    assert not made[0].equal(made[1])


def test_a_plugins_backbone_needs_no_more_than_the_protocol() -> None:
    pair = SideBySide([Plain(spec(24)), make(SMALL, BUILD, REGISTRIES, wants=())])
    assert pair.stages == ()
    assert pair(torch.from_numpy(images(3, 24))).shape == (3, 2 + 4)
    assert len(list(pair.trunk.parameters())) == len(list(pair.parameters()))


def test_a_saved_model_reads_back_and_says_its_format() -> None:
    net = model(SMALL, LARGE)
    files = net.files()
    again = load_model(files, REGISTRIES, "here")
    np.testing.assert_array_equal(again.embed_tensor(images()), net.embed_tensor(images()))
    assert again.blueprint == net.blueprint
    said = json.loads(files["model.json"])
    assert (said["version"], [one["type"] for one in said["backbone"]]) == (5, ["conv2", "efficientnet_lite0"])
    assert json.loads(model(SMALL).files()["model.json"])["version"] == 3


def test_the_frozen_stay_and_the_others_learn_each_at_its_own_rate() -> None:
    frozen = selection("backbone", "conv2", image_size=16, width=4, freeze="everything")
    net = model(frozen, LARGE)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    optimizer = make_optimizer(net, OptimizerOptions(type="sgd", lr=1.0, backbone_lr=0.5))
    shares = {id(p): group["share"] for group in optimizer.param_groups for p in group["params"]}
    _, large = members_of(net.backbone)
    assert {shares[id(p)] for p in large.trunk.parameters()} == {0.5}  # type: ignore[attr-defined]
    assert {shares[id(p)] for p in large.head.parameters()} == {1.0}  # type: ignore[attr-defined]
    net.train().raw(torch.from_numpy(images())).square().sum().backward()  # type: ignore[no-untyped-call]  # torch's
    optimizer.step()
    moved = {name for name, tensor in net.state_dict().items() if not tensor.equal(before[name])}
    assert moved
    assert not [name for name in moved if name.startswith("backbone.members.0.")]


def test_only_where_all_are_frozen_is_an_image_embedded_once() -> None:
    frozen = [selection("backbone", "conv2", image_size=size, freeze="everything") for size in (16, 20)]
    assert always_the_same(make_backbone(frozen, BUILD, REGISTRIES).train())  # type: ignore[attr-defined]
    assert not always_the_same(make_backbone([frozen[0], SMALL], BUILD, REGISTRIES).train())  # type: ignore[attr-defined]


@pytest.mark.parametrize("weights", ["initial", "trained"])
def test_the_outlier_score_looks_at_the_stages_of_the_first(weights: Any) -> None:
    part = FeaturesPart(type="features", stages=(1, 2), weights=weights)
    parts = selection("method", "embedding"), selection("loss", "contrastive")
    net = build_model(Blueprint(0, ("a", "b"), (SMALL, LARGE), *parts, space=(part,)), REGISTRIES).eval()
    found = net.embed_both(images())
    with torch.no_grad():
        one = net.backbone.members[0].fit(torch.from_numpy(images()))  # type: ignore[attr-defined]
        stages = members_of(net.backbone)[0].stages  # type: ignore[attr-defined]
        first = stages[0]((one - 0.5) / 0.5)
        by_hand = torch.cat([first.mean(dim=(2, 3)), stages[1](first).mean(dim=(2, 3))], dim=1)
    assert found.space == pytest.approx(by_hand.numpy(), abs=1e-6)
    np.testing.assert_array_equal(found.vectors, net.embed_tensor(images()))
    kept = [name for name in net.state_dict() if name.startswith("space.kept.")]
    assert bool(kept) == (weights == "initial")
    assert not [name for name in kept if "head" in name], "of the other one nothing is kept"


def test_the_task_of_turns_is_the_firsts_alone() -> None:
    parts = selection("method", "embedding"), selection("loss", "contrastive")
    net = build_model(Blueprint(0, ("a", "b"), (SMALL, LARGE), *parts, rotation=0.5), REGISTRIES).train()
    ran: list[int] = []
    for place, member in enumerate(net.backbone.members):  # type: ignore[attr-defined]
        member.register_forward_hook(lambda module, given, made, place=place: ran.append(place))
    labels, pairs = (
        torch.tensor([0, 0, 1]),
        (torch.tensor([0]), torch.tensor([1]), torch.tensor([0]), torch.tensor([2])),
    )
    net(torch.from_numpy(images()), labels, Pairs(*pairs))
    assert ran == [0, 1, 0]
