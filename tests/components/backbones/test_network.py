from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from torch import nn

from nearkin import load_registries
from nearkin.contracts import Build
from nearkin.errors import DataError
from nearkin.training.frozen import always_the_same

BACKBONES = load_registries(entry_points=False).backbone
NAMES = [component.name for component in BACKBONES]


def made(name: str, **options: Any) -> Any:
    component = BACKBONES.get(name)
    torch.manual_seed(0)
    return component.factory(component.options(**options), Build(seed=0))


def small(name: str) -> dict[str, int]:
    """Options that keep a test quick."""
    fields = BACKBONES.get(name).options.model_fields
    return {"image_size": 32} | ({"width": 8} if "width" in fields else {})


def images_for(backbone: Any, n: int = 4) -> torch.Tensor:
    return torch.rand(n, backbone.input.channels, *backbone.input.size, generator=torch.Generator().manual_seed(1))


def one_step(backbone: Any) -> dict[str, torch.Tensor]:
    """What the state was before a step of training that moves all that learns."""
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    backbone.train()
    backbone(images_for(backbone)).sum().backward()
    torch.optim.SGD([p for p in backbone.parameters() if p.requires_grad], lr=1e3).step()
    return before


def moved(backbone: Any, before: dict[str, torch.Tensor]) -> set[str]:
    return {name for name, tensor in backbone.state_dict().items() if not torch.equal(tensor, before[name])}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_backbone_takes_gray_and_colour(name: str, channels: int) -> None:
    backbone = made(name, channels=channels, **small(name)).eval()
    assert backbone(images_for(backbone)).shape == (4, backbone.embedding_dim)


@pytest.mark.parametrize("name", NAMES)
def test_frozen_blocks_keep_weights_and_statistics_and_the_head_learns(name: str) -> None:
    backbone = made(name, freeze="all", embedding_dim=5, **small(name))
    changed = moved(backbone, one_step(backbone))
    assert changed
    assert all(key.startswith("head.") for key in changed)


def test_freezing_everything_freezes_the_head_too() -> None:
    backbone = made("conv4", freeze="everything", embedding_dim=5, width=8).train()
    assert always_the_same(backbone)


def test_softmax_makes_probabilities_of_the_heads_scores() -> None:
    scores, chances = (made("conv4", embedding_dim=3, normalize=how, width=8).eval() for how in (False, "softmax"))
    images = images_for(scores)
    torch.testing.assert_close(chances(images), scores(images).softmax(dim=1))


def test_freezing_so_many_blocks_freezes_the_first() -> None:
    backbone = made("conv4", freeze=2, width=8)
    changed = moved(backbone, one_step(backbone))
    assert {key.split(".")[1] for key in changed} == {"2", "3"}


def test_freezing_more_blocks_than_there_are_is_refused() -> None:
    with pytest.raises(DataError, match="5 blocks, but this backbone has 4"):
        made("conv4", freeze=5)


@pytest.mark.parametrize("name", NAMES)
def test_frozen_batch_norms_keep_statistics_and_weights_while_convolutions_learn(name: str) -> None:
    backbone = made(name, frozen_batch_norm=True, **small(name))
    norms = {name for name, module in backbone.named_modules() if isinstance(module, nn.BatchNorm2d)}
    changed = moved(backbone, one_step(backbone))
    assert changed
    assert not {key for key in changed if key.rpartition(".")[0] in norms}


def test_the_mode_of_what_is_frozen_does_not_follow_the_rest() -> None:
    backbone = made("conv4", frozen_batch_norm=True, width=8).train()
    assert backbone.training
    assert not any(module.training for module in backbone.modules() if isinstance(module, nn.BatchNorm2d))


@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_a_head_projects_to_the_dimensions_asked_for(head: str) -> None:
    backbone = made("conv4", embedding_dim=7, head=head, width=8)
    assert backbone.embedding_dim == backbone(images_for(backbone)).shape[1] == 7


def test_normalised_embeddings_have_length_one() -> None:
    backbone = made("conv4", normalize=True, width=8).eval()
    assert torch.allclose(backbone(images_for(backbone)).norm(dim=1), torch.ones(4))


@pytest.mark.parametrize(
    ("name", "blocks"), [("conv6", 6), ("vgg", 6), ("resnet12", 4), ("resnet18", 5), ("efficientnet_lite2", 23)]
)
def test_every_backbone_says_how_many_blocks_it_has(name: str, blocks: int) -> None:
    assert len(made(name, **small(name)).blocks) == blocks


def test_conv6_keeps_a_small_image_alive() -> None:
    """Six poolings would leave nothing of 28 pixels."""
    assert made("conv6", width=8)(torch.rand(2, 1, 28, 28)).shape == (2, 8)


@pytest.mark.parametrize(("name", "millions"), [("resnet12", 12.4), ("resnet18", 11.2), ("efficientnet_lite2", 4.8)])
def test_networks_have_as_many_weights_as_in_their_papers(name: str, millions: float) -> None:
    """Without the classifier."""
    count = sum(p.numel() for p in cast(nn.Module, made(name, channels=3)).parameters())
    assert count / 1e6 == pytest.approx(millions, abs=0.06)


@pytest.mark.parametrize("name", NAMES)
def test_flattened_embeddings_keep_every_place_of_the_last_map(name: str) -> None:
    backbone = made(name, pool="flatten", **{**small(name), "image_size": 64}).eval()
    images = images_for(backbone, 2)
    embeddings, last = backbone(images), backbone.blocks(images)
    assert last.shape[2:] != (1, 1)
    assert torch.equal(embeddings, last.flatten(1))
    assert embeddings.shape == (2, backbone.embedding_dim)
    backbone.pool = "mean"
    assert torch.allclose(backbone(images), last.mean(dim=(2, 3)))


def test_vgg_has_the_stages_asked_for() -> None:
    backbone = made("vgg", stages=((4,), (6, 8)), image_size=16)
    widths = [module.out_channels for module in backbone.blocks.modules() if isinstance(module, nn.Conv2d)]
    assert widths == [4, 6, 8]
    assert backbone.blocks(torch.rand(2, 1, 16, 16)).shape == (2, 8, 4, 4)


def test_more_stages_than_the_image_can_be_halved_are_refused() -> None:
    with pytest.raises(DataError, match="5 stages halve the image 5 times"):
        made("vgg", stages=((4,),) * 5, image_size=31)
