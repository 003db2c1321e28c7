"""Every recipe that ships is valid, tells its command, and says what it does."""

from __future__ import annotations

import os
import shlex
from collections import Counter
from pathlib import Path

import pytest

import nearkin
from nearkin.files import write_atomic
from nearkin.recipe import parse_recipe, read_recipe, to_yaml
from nearkin.recipe.shipped import find_recipe, shipped_recipes
from nearkin.training.watch import Watch

REGISTRIES = nearkin.load_registries()
NEEDS_PLUGIN = pytest.mark.skipif(
    not {"siamese", "prototypical", "matching"} <= {*REGISTRIES.method.names()},
    reason="the recipes use methods whose plugins are not installed",
)


@NEEDS_PLUGIN
@pytest.mark.parametrize("name", shipped_recipes())
def test_a_shipped_recipe_is_valid_and_begins_with_its_command(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = find_recipe(name)
    monkeypatch.chdir(tmp_path)
    made: Counter[str] = Counter()
    for base, *changes in commands_before(path) or [["cxr3-base"], ["cxr3-linear"]]:
        made[base] += 1
        read = read_recipe(find_recipe(base), REGISTRIES, changes)
        write_atomic(Path(f"runs/{base}/{made[base]}/recipe.yaml"), to_yaml(read).encode())
    first, second = path.read_text(encoding="utf-8").splitlines()[:2]
    assert first == f"# nearkin train {name}"
    assert second.startswith("# ")
    recipe = read_recipe(path, REGISTRIES)
    assert recipe.name == name
    assert parse_recipe(to_yaml(recipe), REGISTRIES, name="resolved") == recipe


def commands_before(path: Path) -> list[list[str]]:
    """The trainings of other recipes that its first lines ask for: each a recipe and its overrides."""
    mark = "#   nearkin train "
    lines = path.read_text(encoding="utf-8").splitlines()
    commands = [shlex.split(line.removeprefix(mark)) for line in lines if line.startswith(mark)]
    return [command for command in commands if command[0] != path.stem]


@NEEDS_PLUGIN
@pytest.mark.skipif("NEARKIN_DATA" not in os.environ, reason="NEARKIN_DATA names no folder with cxr3/manifest.csv")
def test_the_x_ray_recipe_runs_from_images_to_an_answer(tmp_path: Path) -> None:
    run = nearkin.train("cxr3-siamese", overrides=["train.steps=3"], runs=tmp_path, watch=Watch())
    figures = nearkin.evaluate(run)["figures"]
    assert figures["clusters"]["model"][0]["value"] is not None
    assert run.index.labels == ("covid", "normal", "viral_pneumonia")
    image = Path(os.environ["NEARKIN_DATA"]) / "cxr3" / run.index.references.sources[0]
    assert run.index.query(image).distance == pytest.approx(0, abs=1e-4)
