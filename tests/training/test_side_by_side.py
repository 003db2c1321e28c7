"""Runs of several backbones: from recipe to answers, each begun as its own ancestor has it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load

import nearkin
from nearkin.blueprint import Blueprint
from nearkin.errors import DataError, RecipeError, UsageError
from nearkin.model import Model, build_model
from nearkin.recipe import read_recipe
from nearkin.training.warm_start import WarmStart
from nearkin.training.watch import Watch

DATA = 'source: digits, known: ["0", "1", "2"], select: 4, calibrate: 10, test: 12, held_out_seed: 0'
BASE = f"""\
name: base
data: {{{DATA}, shots: 20}}
backbone: {{BACKBONE}}
method: {{type: classifier, dropout: 0.5}}
sampler: {{type: m_per_class, classes: 3, m: 8}}
train: {{steps: 10, early_stopping: null}}
evaluate: [{{type: clusters}}]
"""
PAIR = f"""\
name: pair
seed: 3
data: {{{DATA}, shots: 5}}
backbone:
  - {{init_from: ONE, embedding_dim: 3, normalize: softmax, freeze: everything}}
  - {{init_from: TWO, embedding_dim: 3, normalize: softmax, freeze: all}}
method: {{type: classifier}}
sampler: {{type: m_per_class, classes: 3, m: 4}}
train: {{steps: 3, early_stopping: {{every: 3}}}}
evaluate: [{{type: clusters}}]
"""
PLAIN = BASE.replace("BACKBONE", "type: conv2, image_size: 16, width: 8")
LARGER = BASE.replace("BACKBONE", "type: conv2, image_size: 24, width: 4").replace(
    "name: base", "name: larger\nseed: 5"
)


def trained(text: str, folder: Path, messages: list[str] | None = None) -> nearkin.Run:
    folder.mkdir(exist_ok=True)
    (folder / "recipe.yaml").write_text(text)
    watch = Watch(message=(messages if messages is not None else []).append)
    return nearkin.train(folder / "recipe.yaml", runs=folder / "runs", watch=watch)


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> tuple[nearkin.Run, nearkin.Run]:
    folder = tmp_path_factory.mktemp("bases")
    return trained(PLAIN, folder), trained(LARGER, folder)


def written(bases: tuple[nearkin.Run, ...], text: str = PAIR) -> str:
    return text.replace("ONE", str(bases[0].path)).replace("TWO", str(bases[1].path))


@pytest.fixture(scope="module")
def told() -> list[str]:
    return []


@pytest.fixture(scope="module")
def pair(bases: Any, told: list[str], tmp_path_factory: pytest.TempPathFactory) -> nearkin.Run:
    return trained(written(bases), tmp_path_factory.mktemp("pair"), told)


def weights(run: nearkin.Run) -> dict[str, Any]:
    return load((run.path / "model.safetensors").read_bytes())


def scores(run: nearkin.Run, images: Any) -> Any:
    """The probabilities that the classifier itself gives."""
    with torch.no_grad():
        return run.model.method.layer(run.model.raw(torch.from_numpy(images))).softmax(dim=1)  # type: ignore[attr-defined]


def test_a_classifiers_layer_is_the_head_and_softmax_gives_its_probabilities(bases: Any, pair: nearkin.Run) -> None:
    images = np.random.default_rng(0).random((4, 1, 24, 24)).astype(np.float32)
    with torch.no_grad():
        first, _ = pair.model.backbone.members  # type: ignore[attr-defined]
        of_first = first(torch.from_numpy(images))
        small = first.fit(torch.from_numpy(images)).numpy()
    torch.testing.assert_close(of_first, scores(bases[0], small), atol=1e-6, rtol=0)
    # The second's blocks stayed and its head went on learning from there.
    theirs, made = weights(bases[1]), weights(pair)
    blocks = [name for name in theirs if name.startswith("backbone.blocks.")]
    assert all(
        made[name.replace("backbone.", "backbone.members.1.backbone.", 1)].equal(theirs[name]) for name in blocks
    )
    moved = made["backbone.members.1.backbone.head.weight"] - theirs["method.layer.weight"]
    assert 0 < moved.abs().max() < 0.01


def test_it_says_of_each_what_was_taken(bases: Any, pair: nearkin.Run, told: list[str]) -> None:
    said = [message for message in told if message.startswith("backbone from")]
    assert [str(base.path) in message for base, message in zip(bases, said, strict=True)] == [True, True]
    assert all("its classifier's layer is the projection head (0, 1, 2); nothing begins anew." in one for one in said)


def test_what_any_of_them_saw_counts_as_trained_on(bases: Any, pair: nearkin.Run) -> None:
    assert bases[0].model.trained_on != bases[1].model.trained_on
    assert bases[0].model.trained_on | bases[1].model.trained_on <= pair.model.trained_on


def test_it_opens_and_answers_where_its_ancestors_are_no_more(bases: Any, tmp_path: Path) -> None:
    copies = [shutil.copytree(run.path, tmp_path / run.recipe.name) for run in bases]
    run = trained(PAIR.replace("ONE", str(copies[0])).replace("TWO", str(copies[1])), tmp_path)
    for copy in copies:
        shutil.rmtree(copy)
    again = nearkin.load_run(run.path)
    assert [section.init_from for section in again.recipe.backbones] == [(str(copy),) for copy in copies]
    assert again.recipe == run.recipe
    picture = Image.fromarray(np.random.default_rng(1).integers(0, 256, (30, 30), np.uint8))
    assert again.index.query(picture).label in again.model.blueprint.classes
    assert again.embed(picture).shape == (1, 6)


def test_images_that_one_of_them_saw_do_not_calibrate(bases: Any, tmp_path: Path) -> None:
    other = trained(LARGER.replace("held_out_seed: 0", "held_out_seed: 1"), tmp_path)
    with pytest.raises(DataError, match=rf"{other.path} was trained on \d+ of the images that are to calibrate") as no:
        trained(written((bases[0], other)), tmp_path)
    assert str(bases[0].path) not in str(no.value)


def test_an_override_reaches_one_of_them(bases: Any, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(written(bases))
    registries = nearkin.load_registries(entry_points=False)
    recipe = read_recipe(tmp_path / "recipe.yaml", registries, ["backbone.1.freeze=1", "backbone.0.normalize=false"])
    assert [s.selection.options.model_dump()["freeze"] for s in recipe.backbones] == ["everything", 1]
    assert [s.selection.options.model_dump()["image_size"] for s in recipe.backbones] == [16, 24]


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("[]", r"recipe.yaml:3:11 backbone: an empty list"),
        ("[{type: conv2}]", r"backbone: a list of one backbone is that backbone: write it without the list"),
        ("[{type: conv2}, conv4]", r"backbone.1: wants a section that names a backbone, not .*Write {type: conv4}"),
        ("[{type: conv2}, {type: conv4, widht: 3}]", r"backbone.1.widht: .*Did you mean 'width'"),
        ("[{type: conv2}, {init_from: runs/none/1}]", r"backbone.1.init_from: there is no finished run"),
        ("[{type: conv2, head: mlp}, {type: conv2}]", r"backbone.0.head: there is no head without a size"),
        ("[{init_from: ONE}, {type: conv2}, {init_from: ONE}]", r"backbone.2: is the same as backbone.0"),
    ],
)
def test_a_list_that_cannot_be_meant_is_a_problem_with_its_place(
    bases: Any, tmp_path: Path, section: str, said: str
) -> None:
    with pytest.raises(RecipeError, match=said):
        trained(written(bases, PLAIN.replace("{type: conv2, image_size: 16, width: 8}", section)), tmp_path)


def test_no_run_begins_from_several_at_once(pair: nearkin.Run, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="has 2 backbones side by side"):
        trained(PLAIN.replace("type: conv2, image_size: 16, width: 8", f"init_from: {pair.path}"), tmp_path)


def begun(folder: Path, section: str) -> tuple[str, Model]:
    """What is said of a backbone that begins with another run's, and the model before its first step."""
    (folder / "warm.yaml").write_text(PLAIN.replace("type: conv2, image_size: 16, width: 8", section))
    registries = nearkin.load_registries(entry_points=False)
    recipe = read_recipe(folder / "warm.yaml", registries)
    model = build_model(Blueprint.of(recipe, ("0", "1", "2")), registries)
    [said] = WarmStart.of(recipe).give(model)
    return said, model


@pytest.mark.parametrize(
    ("section", "why"),
    [
        ("embedding_dim: 4", "its classifier's layer is no head here: it has 3 classes"),
        ("embedding_dim: 3, head: mlp", "its classifier's layer can only be a linear head"),
    ],
)
def test_a_head_that_is_not_the_layer_begins_anew_and_the_line_says_why(
    bases: Any, tmp_path: Path, section: str, why: str
) -> None:
    said, _ = begun(tmp_path, f"init_from: {bases[0].path}, {section}")
    assert "begin anew: head." in said
    assert said.endswith(f"({why}).")


def test_a_head_that_begins_at_random_is_not_frozen(bases: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"head.weight, head.bias would begin at random and never learn.*3 classes"):
        begun(tmp_path, f"init_from: {bases[0].path}, embedding_dim: 2, freeze: everything")


def test_a_layer_on_normalised_features_is_no_head(tmp_path: Path) -> None:
    unit = trained(PLAIN.replace("width: 8", "width: 8, normalize: true").replace("steps: 10", "steps: 1"), tmp_path)
    said, model = begun(tmp_path, f"init_from: {unit.path}, embedding_dim: 3, normalize: softmax")
    assert said.endswith("(its classifier's layer is no head: it stands on normalised features).")
    assert not model.state_dict()["backbone.head.weight"].equal(weights(unit)["method.layer.weight"])


def test_of_several_bases_the_head_is_the_mean_of_their_layers(bases: Any, tmp_path: Path) -> None:
    other = trained(PLAIN.replace("type: conv2, image_size: 16, width: 8", f"init_from: {bases[0].path}"), tmp_path)
    said, model = begun(tmp_path, f"init_from: [{bases[0].path}, {other.path}], embedding_dim: 3")
    assert said.endswith("its classifier's layer is the projection head (0, 1, 2); nothing begins anew.")
    layers = [weights(run)["method.layer.weight"] for run in (bases[0], other)]
    torch.testing.assert_close(model.state_dict()["backbone.head.weight"], (layers[0] + layers[1]) / 2)


def test_the_format_is_written_only_where_it_is_needed(bases: Any, pair: nearkin.Run) -> None:
    versions = [json.loads((run.path / "model.json").read_text())["version"] for run in (*bases, pair)]
    assert versions == [3, 3, 5]
