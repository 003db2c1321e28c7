"""Sweeps: every run a normal run, nothing finished is ever lost, and a table that pairs seed by seed."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import nearkin
from nearkin.cli import run as command
from nearkin.errors import UsageError, WorkFailed
from nearkin.experiments import Sweep, mean_over, resume_sweep, sweep, table
from nearkin.files import sha256
from nearkin.training.watch import Watch
from tests.experiments.tiny import TINY


@pytest.fixture(scope="module")
def recipes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two recipes that differ in width."""
    folder = tmp_path_factory.mktemp("recipes")
    tiny, wide = folder / "tiny.yaml", folder / "wide.yaml"
    tiny.write_text(TINY)
    wide.write_text(TINY.replace("name: tiny", "name: wide").replace("width: 4", "width: 6"))
    return tiny, wide


@pytest.fixture(scope="module")
def done(recipes: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    return sweep(recipes, seeds=2, runs=tmp_path_factory.mktemp("runs"), watch=Watch())


def states(root: Path) -> dict[str, str]:
    """Every finished run's manifest, by its folder."""
    found = {}
    for path in root.glob("t*/*/manifest.json"):
        if json.loads(path.read_bytes())["meta"]["state"] == "finished":
            found[str(path.parent)] = sha256(path.read_bytes())
    return found


def test_every_training_is_a_normal_run_of_its_recipe_and_seed(done: Sweep) -> None:
    result = table(done)
    assert [(one["recipe"], one["seed"]) for one in result["trainings"]] == [
        ("tiny", 0), ("wide", 0), ("tiny", 1), ("wide", 1)
    ]  # fmt: skip
    for one in result["trainings"]:
        run = nearkin.load_run(one["run"])
        assert (run.recipe.name, run.recipe.seed, one["finished"]) == (one["recipe"], one["seed"], True)
        assert run.evaluations["figures"]["clusters"]


def test_the_table_has_means_over_seeds_and_differences_seed_by_seed(done: Sweep) -> None:
    result = table(done)
    runs = {(one["recipe"], one["seed"]): nearkin.load_run(one["run"]) for one in result["trainings"]}

    def value(recipe: str, seed: int, view: str = "model") -> float:
        found = runs[recipe, seed].evaluations["figures"]["clusters"][view][0]
        assert found["name"] == "cluster_accuracy"
        return float(found["value"])

    tiny, wide = result["figures"]["clusters"]["cluster_accuracy"]
    expected = mean_over([value("tiny", 0), value("tiny", 1)], [0, 1])
    assert (tiny["model"]["value"], tiny["model"]["low"]) == pytest.approx((expected.value, expected.low))
    assert tiny["pixels"]["value"] == pytest.approx((value("tiny", 0, "pixels") + value("tiny", 1, "pixels")) / 2)
    assert tiny["minus_first"] is None
    gains = [value("wide", seed) - value("tiny", seed) for seed in (0, 1)]
    assert wide["minus_first"]["value"] == pytest.approx(sum(gains) / 2)
    assert wide["minus_first"]["draws"] == 2
    assert (wide["better"], round(wide["chance"], 3)) == ("higher", 0.333)
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_recipes_that_were_tested_otherwise_are_not_subtracted_and_it_says_so(
    recipes: tuple[Path, Path], tmp_path: Path
) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(TINY.replace("name: tiny", "name: other").replace("test: 12", "test: 11"))
    result = table(sweep([recipes[0], other], runs=tmp_path / "runs", watch=Watch()))
    assert result["figures"]["clusters"]["cluster_accuracy"][1]["minus_first"] is None
    assert "not subtracted" in result["notes"][0]
    assert result["figures"]["clusters"]["cluster_accuracy"][0]["model"]["low"] is None, "one seed has no interval"


def test_one_draw_each_is_said_to_have_no_interval_and_where_there_is_one(
    recipes: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["train", *map(str, recipes), "--runs", str(tmp_path / "runs")]
    assert command(arguments) == 0
    printed = capsys.readouterr().out
    said = "tiny, wide: one draw each has no interval over draws; 'nearkin compare RUN RUN' has those over images."
    assert said in printed.splitlines()
    assert "95%" not in printed, "no heading promises what no row has"


def test_more_draws_than_one_have_an_interval_and_no_such_note(done: Sweep, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["train", "--resume", str(done.path)]) == 0
    printed = capsys.readouterr().out
    assert "no interval" not in printed
    assert "figure (95% over draws)" in printed


def test_a_warm_recipe_whose_base_saw_test_images_is_not_subtracted_and_it_says_so(tmp_path: Path) -> None:
    """The base's draw is another one: some of its training images are asked about in the sweep, of the cold one."""
    cold, warm = tmp_path / "cold.yaml", tmp_path / "warm.yaml"
    plain = TINY.replace("calibrate: 9", "calibrate: 0")  # on what a base trained on, calibrating is refused
    cold.write_text(plain.replace("name: tiny", "name: cold"))
    overrides = ["seed=7", "data.shots=60"]
    base = nearkin.train(cold, overrides=overrides, runs=tmp_path / "bases", watch=Watch())
    began = f"backbone: {{init_from: {base.path}, "
    warm.write_text(plain.replace("name: tiny", "name: warm").replace("backbone: {", began))
    result = table(sweep([cold, warm], runs=tmp_path / "runs", watch=Watch()))
    of_cold, of_warm = (
        nearkin.load_run(one["run"]).evaluations["figures"]["clusters"]["model"][0] for one in result["trainings"]
    )
    assert (of_cold["details"]["left_out"]["seen"], of_warm["n"] < of_cold["n"]) == (0, True)
    assert result["figures"]["clusters"]["cluster_accuracy"][1]["minus_first"] is None
    assert "warm: test images that its base trained on" in result["notes"][-1]


def interrupt_in(stage: str, which: int) -> Callable[[str, int, int], None]:
    """A watch's `progress` that sends Ctrl-C the `which`-th time a stage is heard of."""
    heard = []

    def progress(text: str, _done: int, _total: int) -> None:
        if text.startswith(stage):
            heard.append(text)
            if len(heard) == which:
                os.kill(os.getpid(), signal.SIGINT)

    return progress


@pytest.fixture
def heeded() -> Iterator[None]:
    """Ctrl-C is heard, even where a shell began the tests in the background, in which it is not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


# All three are heard in the second training: of three steps, of 537 images read to train and 78 to evaluate.
@pytest.mark.parametrize(("stage", "which"), [("training", 5), ("reading", 750), ("evaluating", 2)])
def test_ctrl_c_loses_nothing_that_is_finished_and_the_sweep_goes_on(
    recipes: tuple[Path, Path], tmp_path: Path, heeded: None, stage: str, which: int
) -> None:
    runs = tmp_path / "runs"
    with pytest.raises(WorkFailed, match="interrupted; 1 of 3 trainings are finished"):
        sweep(recipes[:1], seeds=3, runs=runs, watch=Watch(progress=interrupt_in(stage, which)))
    before = states(runs)
    assert before
    result = table(resume_sweep(runs / "sweeps" / "tiny" / "1", watch=Watch()))
    assert all(one["finished"] for one in result["trainings"])
    after = states(runs)
    assert len(after) == 3, "no training was begun twice"
    assert {path: after[path] for path in before} == before, "what was finished was not touched"


def test_an_interrupted_sweep_ends_in_the_figures_of_one_that_was_not(
    recipes: tuple[Path, Path], done: Sweep, tmp_path: Path
) -> None:
    with pytest.raises(WorkFailed, match="nearkin train --resume"):
        sweep(recipes, seeds=2, runs=tmp_path, watch=Watch(progress=interrupt_in("training", 7)))
    # The recipes may change meanwhile: the sweep goes on with what it began with.
    again = resume_sweep(tmp_path / "sweeps" / "tiny" / "1", watch=Watch())
    assert table(again)["figures"] == table(done)["figures"]


def test_a_training_that_fails_is_named_and_the_others_go_on(
    recipes: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(TINY.replace("name: tiny", "name: bad").replace("steps: 3", "steps: 3, optimizer: {lr: 1e+30}"))
    assert command(["train", str(bad), str(recipes[0]), "--runs", str(tmp_path / "runs"), "--json"]) == 1
    captured = capsys.readouterr()
    first, second = json.loads(captured.out)["trainings"]
    assert "training stopped" in first["problem"]
    assert (first["finished"], second["finished"]) == (False, True)
    assert "1 of 2 trainings failed" in captured.err


def test_leaving_each_class_out_asks_about_it_as_an_unknown(
    recipes: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["train", str(recipes[0]), "--leave-one-class-out", "--runs", str(tmp_path / "runs")]
    assert command(arguments) == 0
    printed = capsys.readouterr().out
    assert "tiny without 2" in printed
    assert next(line for line in printed.splitlines() if "tiny, mean over classes" in line).endswith(" 3 classes")
    assert next(line for line in printed.splitlines() if "tiny without 2" in line).split()[-2:] == ["1", "seed"]
    assert "tiny: one draw without a class has no interval; the mean has one over classes." in printed
    path = printed.splitlines()[-1]
    assert command(["train", "--resume", path, "--json"]) == 0
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    for one in result["trainings"]:
        run = nearkin.load_run(one["run"])
        assert set(run.recipe.data.known or ()) | {one["held_out"]} == {"0", "1", "2"}
        assert run.recipe.data.unknown == (one["held_out"],)
        assert run.facts["images"]["test"] == 36
    rows = result["figures"]["open_set"]["unknown_auroc"]
    assert [row["held_out"] for row in rows] == ["0", "1", "2", None]
    assert rows[-1]["model"]["value"] == pytest.approx(sum(row["model"]["value"] for row in rows[:-1]) / 3)
    assert (rows[-1]["over"], rows[-1]["model"]["draws"]) == ("classes", 3)


def test_what_cannot_be_meant_is_refused_before_anything_is_trained(recipes: tuple[Path, Path], tmp_path: Path) -> None:
    tiny = recipes[0]
    two = ['data.known=["0", "1"]']
    runs = tmp_path / "runs"
    for given, reason in (
        ({"recipes": [tiny, tiny]}, "given twice"),
        ({"recipes": []}, "a recipe or more"),
        ({"recipes": [tiny], "seeds": 2, "overrides": ["seed=3"]}, "leave out the override of seed"),
        ({"recipes": [tiny], "overrides": ["evaluate=[]"]}, "no evaluators"),
        ({"recipes": [tiny], "overrides": two, "leave_one_class_out": True}, "fewer than two"),
    ):
        with pytest.raises(UsageError, match=reason):
            sweep(**given, runs=runs, watch=Watch())
    assert not runs.exists()
    for words in (["--seeds", "0", str(tiny)], ["--resume", str(tmp_path), "--seeds", "2"], []):
        assert command(["train", *words]) == 2
