"""timm's models keep the backbone contract, and bring timm's own preprocessing."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import timm
import torch
from timm.data import resolve_model_data_config
from torch import nn

import nearkin
from nearkin import load_registries
from nearkin.contracts import Backbone, Build
from nearkin.testing import BackboneContract
from nearkin_timm import TimmOptions, compatible, make_timm

MODELS = ("resnet18", "efficientnet_lite0", "vit_tiny_patch16_224", "convnext_atto")


def made(model: str, **options: Any) -> Any:
    return make_timm(TimmOptions(model=model, **options), Build(seed=0))


class TestTimm(BackboneContract):
    @pytest.fixture(autouse=True, params=[("resnet18", 3), ("resnet18", 1), ("mobilenetv3_small_050", 3)])
    def _each(self, request: pytest.FixtureRequest) -> None:
        self.model, self.channels = request.param

    def make(self, build: Build) -> Backbone:
        return cast(Backbone, made(self.model, image_size=64, channels=self.channels))


def test_the_entry_point_brings_the_backbone() -> None:
    component = load_registries().backbone.get("timm")
    assert component.distribution == "nearkin-timm"


@pytest.mark.parametrize("model", MODELS)
@torch.inference_mode()
def test_it_gives_timms_own_features(model: str) -> None:
    backbone = made(model).eval()
    images = torch.rand(2, 3, *backbone.input.size)
    assert torch.equal(backbone(images), backbone.net(images))
    assert backbone.embedding_dim == backbone.net(images).shape[1]


@pytest.mark.parametrize("model", MODELS)
def test_its_input_spec_is_what_timm_resolves(model: str) -> None:
    spec, config = made(model).input, resolve_model_data_config(timm.create_model(model))
    assert (spec.channels, *spec.size) == config["input_size"]
    assert (spec.mean, spec.std) == (config["mean"], config["std"])
    assert (spec.interpolation, spec.crop) == (config["interpolation"], config["crop_pct"])


@pytest.mark.parametrize("model", ["vit_tiny_patch16_224", "deit_tiny_patch16_224", "mixer_s32_224", "levit_128s"])
@torch.inference_mode()
def test_a_model_that_is_built_for_one_size_is_built_for_the_size_asked_for(model: str) -> None:
    backbone = made(model, image_size=64).eval()
    assert backbone.input.size == (64, 64)
    assert backbone(torch.rand(2, 3, 64, 64)).shape == (2, backbone.embedding_dim)


@pytest.mark.parametrize("model", MODELS)
@torch.inference_mode()
def test_gray_images_give_what_the_same_images_in_colour_give(model: str) -> None:
    gray, colour = made(model, channels=1).eval(), made(model).eval()
    colour.net.load_state_dict(gray.net.state_dict())
    pixels = torch.rand(2, 1, *gray.input.size)
    there = colour(normalised(pixels.expand(-1, 3, -1, -1), colour))
    assert torch.allclose(gray(normalised(pixels, gray)), there, atol=1e-5)


def normalised(pixels: torch.Tensor, backbone: Any) -> torch.Tensor:
    """[0, 1] -> what nearkin hands to the backbone."""
    mean, std = (torch.tensor(value).view(1, -1, 1, 1) for value in (backbone.input.mean, backbone.input.std))
    return (pixels - mean) / std


def test_a_frozen_model_learns_nothing() -> None:
    backbone = made("resnet18", freeze=True, image_size=64).train()
    assert not [p for p in backbone.parameters() if p.requires_grad]
    assert not any(module.training for module in backbone.net.modules())


def test_frozen_batch_norms_stay_in_evaluation() -> None:
    backbone = made("resnet18", frozen_batch_norm=True, image_size=64).train()
    norms = [module for module in backbone.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms
    assert not any(norm.training or norm.weight.requires_grad for norm in norms)


def test_a_name_that_timm_does_not_know_names_near_ones() -> None:
    with pytest.raises(ValueError, match=r"no model 'resnet19'. Near it: .*resnet"):
        made("resnet19")


@pytest.mark.parametrize(
    ("requirements", "torch_version"),
    [
        (["numpy", "torch==2.14.1", "pillow"], "2.14.1"),
        (["torch (==2.9.1)"], "2.9.1"),
        (["torch>=2"], None),
        ([], None),
    ],
)
def test_the_torch_that_torchvision_was_built_for_is_read_from_its_metadata(
    requirements: list[str], torch_version: str | None
) -> None:
    assert compatible.built_for(requirements) == torch_version


def test_another_torch_is_refused_with_the_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compatible, "built_for", lambda _: "1.0.0")
    with pytest.raises(RuntimeError, match=r"built for torch 1\.0\.0.*install torch==1\.0\.0"):
        compatible.require_compatible()


def test_a_run_trains_and_opens_again(tmp_path: Path) -> None:
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(
        "name: tiny\n"
        'data: {source: digits, known: ["0", "1"], shots: 4, select: 4, calibrate: 10, test: 5}\n'
        "backbone: {type: timm, model: mobilenetv3_small_050, image_size: 32, channels: 1, frozen_batch_norm: true}\n"
        "method: {type: embedding}\nloss: {type: contrastive}\n"
        "sampler: {type: balanced_pairs, pairs: 8}\ntrain: {steps: 3}\nevaluate: [{type: clusters}]\n"
    )
    run = nearkin.train(recipe, runs=tmp_path / "runs")
    again = nearkin.load_run(run.path)
    image = np.zeros((8, 8), dtype=np.uint8)
    assert again.index.query(image).distances == run.index.query(image).distances
