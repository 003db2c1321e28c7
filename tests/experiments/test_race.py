"""The race to a target: the same rules for all, runs that never got there counted as such, bounds where that is all."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nearkin
from nearkin.cli import run as command
from nearkin.errors import RecipeError
from nearkin.experiments.race import Attempt, interval, medians, race, ratio
from nearkin.recipe import Recipe, parse_recipe, to_yaml
from nearkin.training.watch import Watch

DATA = 'source: digits, known: ["0", "1", "2", "3", "4"], select: 6, calibrate: 4, test: 10, held_out_seed: 0'
NETWORK = "{type: conv2, image_size: 16, width: 16, embedding_dim: 16}"
BASE = f"""\
name: base
data: {{{DATA}, shots: 60}}
backbone: {NETWORK}
method: {{type: classifier}}
sampler: {{type: m_per_class, classes: 5, m: 8}}
train: {{steps: 60, optimizer: {{type: adam, lr: 1e-2}}}}
"""
COLD = f"""\
name: cold
data: {{{DATA}, shots: 5}}
backbone: {NETWORK}
method: {{type: embedding}}
loss: {{type: contrastive}}
sampler: {{type: balanced_pairs, pairs: 12}}
train: {{steps: 12, early_stopping: {{every: 1, patience: 100, target: TARGET}}}}
evaluate: [{{type: clusters, resamples: 20}}]
"""
REGISTRIES = nearkin.load_registries(entry_points=False)


def recipe(name: str = "cold", seed: int = 0, **settings: Any) -> Recipe:
    overrides = {key.replace("__", "."): value for key, value in settings.items()}
    text = COLD.replace("TARGET", "0.97")
    return parse_recipe(text, REGISTRIES, name="r.yaml", overrides={"name": name, "seed": seed, **overrides})


def attempt(folder: Path, reached: int | None, name: str = "cold", seed: int = 0, **settings: Any) -> Attempt:
    """As a run that got there after so many steps, or never in all its 12; its recipe lies in its folder."""
    path = folder / name / str(len(list((folder / name).glob("*"))) + 1)
    path.mkdir(parents=True)
    asked = recipe(name, seed, **settings)
    (path / "recipe.yaml").write_text(to_yaml(asked))
    epochs = None if reached is None else reached / 4
    ended = {"ended": "steps done", "steps": 12, "steps_per_epoch": 4, "data": f"draw {seed}"}
    return Attempt(path, asked, {**ended, "steps_to_target": reached, "epochs_to_target": epochs}, REGISTRIES)


def attempts(folder: Path, name: str, *reached: int | None) -> list[Attempt]:
    return [attempt(folder, steps, name, seed) for seed, steps in enumerate(reached)]


def raced(*sides: list[Attempt]) -> list[dict[str, Any]]:
    said = race([one for side in sides for one in side])
    assert said is not None
    json.dumps(said, allow_nan=False)
    rows: list[dict[str, Any]] = said["recipes"]
    return rows


def test_each_seed_is_a_pair_and_the_ratio_is_their_median(tmp_path: Path) -> None:
    cold, warm = raced(
        attempts(tmp_path, "cold", 10, 12, 8, 12, 9), attempts(tmp_path, "warm", 2, 2, 2, 3, 9)
    )  # fmt: skip
    assert (cold["reached"], cold["of"], cold["median_steps"]) == (5, 5, {"at_least": 10, "at_most": 10})
    assert cold["median_epochs"] == {"at_least": 2.5, "at_most": 2.5}
    assert [one["steps_to_target"] for one in warm["attempts"]] == [2, 2, 2, 3, 9]
    ratios = warm["times_as_fast"]
    assert (ratios["at_least"], ratios["at_most"], ratios["seeds"]) == (4, 4, 5)
    assert (ratios["low"], ratios["high"]) == (1, 6), "of five, the bootstrap of the median spans all"
    assert (warm["why_not"], warm["notes"], warm["settings_tried"]) == ("", [], 1)


def test_runs_that_never_got_there_are_bounds_and_not_left_out(tmp_path: Path) -> None:
    cold, warm = raced(
        attempts(tmp_path, "cold", None, None, 10, None, None), attempts(tmp_path, "warm", 2, 3, 2, 4, 2)
    )  # fmt: skip
    assert (cold["reached"], cold["of"]) == (1, 5)
    assert cold["median_steps"] == {"at_least": 12, "at_most": None}
    assert (warm["times_as_fast"]["at_least"], warm["times_as_fast"]["at_most"]) == (5, None)
    assert (warm["times_as_fast"]["low"], warm["times_as_fast"]["high"]) == (3, None)
    other_way = raced(attempts(tmp_path, "warm2", 2, 2), attempts(tmp_path, "cold2", None, 4))[1]["times_as_fast"]
    assert (other_way["at_least"], other_way["at_most"]) == (0.25, (1 / 6 + 0.5) / 2)
    assert (other_way["low"], other_way["high"]) == (None, None), "two seeds have no interval"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"train__early_stopping__target": 0.9}, "target 0.97 and 0.9"),
        ({"train__steps": 13}, "steps 12 and 13"),
        ({"train__early_stopping__every": 2}, "every 1 and 2"),
        ({"train__early_stopping__patience": 5}, "patience 100 and 5"),
        ({"train__early_stopping": None}, r"sets no train.early_stopping.target"),
        ({"seed": 77}, "shares no seed with cold"),
    ],
)
def test_other_rules_are_not_compared(tmp_path: Path, settings: dict[str, Any], said: str) -> None:
    other = raced([attempt(tmp_path, 10)], [attempt(tmp_path, 2, **{"name": "warm", **settings})])[1]
    assert other["times_as_fast"] is None
    assert said in other["why_not"]


def test_other_images_or_rules_that_changed_between_seeds_are_not_compared(tmp_path: Path) -> None:
    cold, warm = attempts(tmp_path, "cold", 10, 10), attempts(tmp_path, "warm", 2, 2)
    elsewhere = replace(warm[1], facts={**warm[1].facts, "data": "other"})
    assert "other images or splits than those of cold, with seeds 1" in raced(cold, [warm[0], elsewhere])[1]["why_not"]
    moved = attempt(tmp_path, 2, "warm", 1, train__early_stopping__target=0.5)
    assert "runs of warm follow several rules: target 0.97 and 0.5" in raced(cold, [warm[0], moved])[1]["why_not"]


def test_unequal_tuning_a_changed_target_and_a_first_look_are_said(tmp_path: Path) -> None:
    cold, warm = attempts(tmp_path, "cold", 10, 11), attempts(tmp_path, "warm", 1, 2)
    assert raced(cold, warm)[1]["notes"] == ["1 of 2 were there at the first look, after 1 steps or fewer"]
    for rate in (0.1, 0.2):
        attempt(tmp_path, None, "warm", 7, train__optimizer__lr=rate)
    attempt(tmp_path, None, "warm", 8, train__early_stopping__target=0.5)
    attempt(tmp_path, None, "warm", 9)
    row = raced(cold, warm)[1]
    assert row["settings_tried"] == 3, "a seed or a target is no setting"
    assert "unequal tuning: 3 settings were tried, 1 of cold" in row["notes"]
    assert "target or budget were others in earlier runs of this name: target 0.97 and 0.5" in row["notes"]
    assert row["times_as_fast"], "said, and not refused"
    given_up = replace(cold[0], facts={**cold[0].facts, "steps_to_target": None, "ended": "early stopping"})
    assert "1 of 2 ended by patience, before target and budget" in raced([given_up, cold[1]])[0]["notes"]


def test_runs_of_one_recipe_and_seed_stand_on_their_own(tmp_path: Path) -> None:
    first, second = attempt(tmp_path, 10), attempt(tmp_path, 5)
    rows = raced([first, second])
    assert [one["recipe"] for one in rows] == [str(first.path), str(second.path)]
    assert rows[1]["times_as_fast"]["at_least"] == 2


def test_without_a_target_there_is_no_race(tmp_path: Path) -> None:
    assert race([attempt(tmp_path, None, train__early_stopping__target=None)]) is None


def test_bounds_are_those_of_interval_arithmetic() -> None:
    assert ratio((100, 100), (5, 5)) == (20, 20)
    assert ratio((100, math.inf), (5, 5)) == (20, math.inf)
    assert ratio((100, 100), (50, math.inf)) == (0, 2)
    assert ratio((100, math.inf), (50, math.inf)) == (0, math.inf)
    assert medians([(1, 1), (2, math.inf), (3, 3)]) == (2, 3)
    assert medians([(1, 1), (2, math.inf), (3, math.inf)]) == (2, math.inf)


def test_the_interval_holds_whatever_the_runs_that_were_cut_short_would_have_needed() -> None:
    rng = np.random.default_rng(1)
    cold, warm = rng.integers(50, 400, 9).astype(float), rng.integers(5, 40, 9).astype(float)
    cut = [(value, value) if value < 200 else (200.0, math.inf) for value in cold]
    low, high = interval([ratio(a, (b, b)) for a, b in zip(cut, warm, strict=True)])
    true_low, true_high = interval([ratio((a, a), (b, b)) for a, b in zip(cold, warm, strict=True)])
    assert low <= true_low
    assert high is None or (true_high is not None and true_high <= high)


def test_a_warm_start_stands_beside_the_cold_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def trained(text: str, target: float = 0.9) -> nearkin.Run:
        (tmp_path / "recipe.yaml").write_text(text.replace("TARGET", str(target)))
        return nearkin.train(tmp_path / "recipe.yaml", runs=tmp_path / "runs", watch=Watch())

    base = trained(BASE)
    warm = trained(COLD.replace("name: cold", "name: warm").replace(NETWORK, f"{{init_from: {base.path}}}"))
    cold = trained(COLD)
    assert warm.facts["steps_to_target"] is not None
    assert command(["compare", str(cold.path), str(warm.path)]) == 0
    out = capsys.readouterr().out
    assert "To a target of 0.9 on select, as the first recipe set it" in out
    assert "(12 steps, a look every 1 steps, patience 100)" in out
    assert f"{warm.facts['steps_to_target']} steps, {warm.facts['epochs_to_target']:.4g} epochs" in out
    assert "NOT COMPARED" not in out
    assert "cluster_accuracy" in out
    assert base.facts["steps_per_epoch"] > 0


def test_a_target_that_nothing_can_judge_or_none_to_stop_at_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"early_stopping.target: is judged on select, and data.select is 0"):
        recipe(data__select=0)
    with pytest.raises(RecipeError, match=r"stop_at_target: there is no target to stop at"):
        recipe(train__early_stopping={"stop_at_target": True})
    with pytest.raises(RecipeError, match=r"backbone.head: there is no head without a size. Give embedding_dim"):
        recipe(backbone={"type": "conv2", "head": "mlp"})
