"""The model: built by seed, saved without pickle, rebuilt to the same embeddings, refused where it does not fit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import nearkin
from nearkin.blueprint import Blueprint
from nearkin.contracts import Build, Register
from nearkin.errors import DamagedError, PluginError, UsageError
from nearkin.files import to_json
from nearkin.hookspecs import hookimpl
from nearkin.model import DESCRIPTION, WEIGHTS, Model, build_model, load_model
from nearkin.recipe.model import Selection

REGISTRIES = nearkin.load_registries(entry_points=False)


def selection(kind: Any, name: str, **options: Any) -> Selection:
    return Selection(kind, name, REGISTRIES.of(kind).get(name).options(**options))


def blueprint(seed: int = 0, **backbone: Any) -> Blueprint:
    options = {"image_size": 16, "width": 4, **backbone}
    return Blueprint(
        seed,
        ("a", "b"),
        (selection("backbone", "conv2", **options),),
        selection("method", "embedding"),
        selection("loss", "contrastive"),
    )


def images(count: int = 3) -> np.ndarray:
    return np.random.default_rng(0).random((count, 1, 16, 16)).astype(np.float32)


def saved(model: Model) -> dict[str, bytes]:
    return dict(model.files())


def test_a_model_read_back_embeds_the_same_and_knows_what_trained_it() -> None:
    model = build_model(blueprint(), REGISTRIES)
    model.trained_on = frozenset({"x", "y"})
    again = load_model(saved(model), REGISTRIES, "here")
    np.testing.assert_array_equal(model.embed_tensor(images()), again.embed_tensor(images()))
    assert again.trained_on == {"x", "y"}
    assert again.digest() == model.digest()


def test_first_weights_follow_the_seed_and_leave_torchs_generator_alone() -> None:
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    digests = [build_model(blueprint(seed), REGISTRIES).digest() for seed in (0, 0, 1)]
    assert digests[0] == digests[1] != digests[2]
    assert torch.equal(torch.rand(2), expected)


def test_embedding_does_not_change_the_model_or_its_mode() -> None:
    model = build_model(blueprint(), REGISTRIES)
    model.train()
    before = model.digest()
    model.embed_tensor(images(130))
    assert model.digest() == before
    assert model.training


def test_an_image_embeds_the_same_in_its_callers_autocast() -> None:
    model = build_model(blueprint(), REGISTRIES)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = model.embed_tensor(images())
    np.testing.assert_array_equal(inside, model.embed_tensor(images()))


def test_an_opened_model_whose_weights_were_changed_is_not_written_as_it_was() -> None:
    model = load_model(saved(build_model(blueprint(), REGISTRIES)), REGISTRIES, "here")
    digest = model.digest()
    model.to(torch.float64).to(torch.float32)
    assert model.digest() == digest
    with torch.no_grad():
        next(model.parameters()).mul_(2)
    with pytest.raises(UsageError, match="not those that it was opened with"):
        model.files()


def test_an_image_embeds_the_same_alone_or_among_others() -> None:
    model = build_model(blueprint(), REGISTRIES).eval()
    together = model.embed_tensor(images(70))
    alone = np.concatenate([model.embed_tensor(image[None]) for image in images(70)])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_no_images_give_no_embeddings() -> None:
    model = build_model(blueprint(), REGISTRIES)
    assert model.embed([]).vectors.shape == (0, model.backbone.embedding_dim)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (WEIGHTS, b"nonsense"),
        (DESCRIPTION, b"{"),
        (DESCRIPTION, to_json({"version": 99})),
        (DESCRIPTION, to_json({"version": 1})),
    ],
)
def test_files_that_are_not_a_model_are_refused(name: str, content: bytes) -> None:
    files = {**saved(build_model(blueprint(), REGISTRIES)), name: content}
    with pytest.raises(DamagedError, match="here"):
        load_model(files, REGISTRIES, "here")


def test_weights_of_another_architecture_are_refused() -> None:
    files = saved(build_model(blueprint(), REGISTRIES))
    files[WEIGHTS] = saved(build_model(blueprint(width=6), REGISTRIES))[WEIGHTS]
    with pytest.raises(DamagedError, match="do not belong together"):
        load_model(files, REGISTRIES, "here")


def test_a_backbone_that_changed_its_input_is_refused() -> None:
    model = build_model(blueprint(), REGISTRIES)
    model.input = replace(model.input, mean=(0.1,))
    with pytest.raises(DamagedError, match="was trained with the input InputSpec"):
        load_model(saved(model), REGISTRIES, "here")


class HalfABackbone:
    """A plugin whose backbone lacks what the contract asks for."""

    nearkin_api = 1

    @hookimpl
    def nearkin_backbones(self, register: Register) -> None:
        register("half", self.make, summary="Half.")

    def make(self, _options: Any, _build: Build) -> torch.nn.Module:
        return torch.nn.Identity()


def test_a_component_without_what_its_contract_asks_for_is_named() -> None:
    registries = nearkin.load_registries(HalfABackbone(), entry_points=False)
    half = Selection("backbone", "half", registries.backbone.get("half").options())
    with pytest.raises(PluginError, match=r"HalfABackbone:half made a Identity without input, embedding_dim"):
        build_model(replace(blueprint(), backbones=(half,)), registries)


def test_three_channels_and_an_embedding_size_can_be_asked_for() -> None:
    model = build_model(blueprint(channels=3, embedding_dim=5), REGISTRIES)
    colour = np.random.default_rng(0).random((20, 30, 3))
    assert model.embed([colour, colour[:, :, 0]]).vectors.shape == (2, 5)


def test_files_without_a_description_or_weights_are_no_model() -> None:
    for files in ({}, {"model.json": b"{}"}, {"histery.jsonl": b""}):
        with pytest.raises(DamagedError, match=r"lists no .*model\."):
            load_model(files, nearkin.load_registries(entry_points=False), "here")
