"""A space for the outlier score is chosen on known classes left out of training, and no test image is read for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nearkin
from nearkin.cli import run as command
from nearkin.data import ImageStore, load_data
from nearkin.errors import DataError, RecipeError, UsageError
from nearkin.experiments import choose_space
from nearkin.recipe import read_recipe
from nearkin.training import work
from nearkin.training.watch import Watch

RECIPE = """\
name: tiny
data: {source: digits, known: ["0", "1", "2"], shots: 4, select: 5, calibrate: 9, test: 12, held_out_seed: 0}
backbone: {type: conv2, image_size: 16, width: 4}
method: {type: embedding}
loss: {type: contrastive}
sampler: {type: balanced_pairs, pairs: 6}
train: {steps: 3}
"""
FEATURES = "{type: features, stages: [1, 2]}"


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(RECIPE)
    return path


def test_what_is_tried_is_measured_as_a_run_without_the_class_measures_it(
    recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def load(cls: Any, source: Any, items: Any, *rest: Any, **given: Any) -> ImageStore:
        read.extend(item.key for item in (*items, *given.get("spare", ())))
        return loading(source, items, *rest, **given)

    loading = ImageStore.load
    monkeypatch.setattr(work.ImageStore, "load", classmethod(load))
    result = choose_space(recipe, spaces=["{type: embedding}", FEATURES], scores=["{type: prototype}"], watch=Watch())

    own = read_recipe(recipe, nearkin.load_registries(entry_points=False))
    source, dataset = load_data(own.data, own.seed)
    known = {item.key for split in ("train", "select", "calibrate") for item in dataset.items[split]}  # type: ignore[index]
    assert set(read) == known, "no test image, and no spare one, was read"

    names = [one["said"] for one in result["candidates"]]
    assert names == [
        "knn, k 1; embedding",
        "prototype; embedding",
        "prototype; stages 1 and 2 of the initial backbone",
    ]
    # By hand: the initial backbone is what the seed made, whatever was left out.
    from nearkin.blueprint import Blueprint
    from nearkin.model import build_model
    from nearkin.recipe.space import FeaturesPart

    part = FeaturesPart(type="features", stages=(1, 2))
    registries = nearkin.load_registries(entry_points=False)
    blueprint = Blueprint(own.seed, ("0", "1"), (own.backbones[0].selection,), own.method, own.loss, space=(part,))
    model = build_model(blueprint, registries).eval()

    def places(items: Any) -> Any:
        return np.asarray(model.embed([source.load(item).pixels for item in items]).space, dtype=np.float64)

    for label in dataset.classes:
        train = [item for item in dataset.items["train"] if item.label != label]
        raw, labels = places(train), np.array([item.label for item in train])
        spread = raw.std(axis=0)
        scale = np.where(spread > 1e-7 * np.abs(raw.mean(axis=0)), spread, 1)
        means = np.stack([raw[labels == one].mean(axis=0) for one in sorted(set(labels))]) / scale

        def score(items: Any, means: Any = means, scale: Any = scale) -> Any:
            return np.linalg.norm(places(items)[:, None] / scale - means, axis=2).min(axis=1)

        held = [i for split in ("train", "select") for i in dataset.items[split] if i.label == label]  # type: ignore[index]
        others = [item for item in dataset.items["select"] if item.label != label]
        expected = np.mean(score(held)[:, None] > score(others))
        assert result["candidates"][2]["classes"][label]["value"] == pytest.approx(expected, abs=0.03)


def test_the_line_that_is_told_goes_into_a_recipe(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["choose-space", str(recipe), "--space", FEATURES, "--score", "{type: knn}", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    best = result["candidates"][result["best"]]
    assert best["mean"]["value"] == max(one["mean"]["value"] for one in result["candidates"])
    line = result["candidates"][1]["line"]
    recipe.write_text(RECIPE + line)
    read = read_recipe(recipe, nearkin.load_registries(entry_points=False))
    assert read.unknown.space.type == "features"


@pytest.mark.parametrize(
    ("overrides", "error", "problem"),
    [
        (['data.known=["0", "1"]'], UsageError, "fewer than two to learn"),
        (["data.select=0", "train.early_stopping=null"], UsageError, r"data\.select"),
        (["train.steps=0"], RecipeError, "at least 1"),
    ],
)
def test_what_cannot_be_tried_is_told_before_anything_trains(
    recipe: Path, overrides: list[str], error: type[Exception], problem: str
) -> None:
    with pytest.raises(error, match=problem):
        choose_space(recipe, overrides=overrides, watch=Watch())


def test_a_space_that_the_backbone_has_not_is_told(recipe: Path) -> None:
    with pytest.raises(RecipeError, match=r"unknown\.space\.type"):
        choose_space(recipe, spaces=["{type: featurs}"], watch=Watch())
    with pytest.raises(DataError, match="stage 7, but this backbone has 2"):
        choose_space(recipe, spaces=["{type: features, stages: [7]}"], watch=Watch())


def test_a_base_that_knows_the_class_leaves_nothing_out(recipe: Path, tmp_path: Path) -> None:
    base = nearkin.train(recipe, runs=tmp_path / "runs", watch=Watch())
    recipe.write_text(RECIPE.replace("type: conv2, image_size: 16, width: 4", f"init_from: {base.path}"))
    with pytest.raises(DataError, match="was trained on 9 images of '0', so it cannot be left out"):
        choose_space(recipe, spaces=[FEATURES], watch=Watch())
