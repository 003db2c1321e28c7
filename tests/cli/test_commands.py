"""The commands: data on stdout, messages on stderr, the right exit code, no traceback for a user's mistake."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nearkin.cli import show
from nearkin.contracts import Figure
from nearkin.evaluation.differences import as_json

Shell = Callable[..., Any]


def test_help_names_every_command(nearkin: Shell) -> None:
    done = nearkin("--help")
    assert done.code == 0
    commands = (
        "train",
        "evaluate",
        "query",
        "validate",
        "schema",
        "components",
        "plugins",
        "recipes",
        "runs",
        "data",
        "index",
    )
    assert all(command in done.out for command in commands)


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["train"],
        ["train", "tiny.yaml", "--resume", "runs/tiny/1"],
        ["train", "no-such-recipe"],
        ["train", "missing.yaml"],
        ["train", "tiny.yaml", "train.stepz=3"],
        ["validate", "tiny.yaml", "train.steps=none"],
        ["train", "--resume", "runs/nowhere/1"],
        ["evaluate", "runs/nowhere/1"],
        ["query", "runs/nowhere/1", "a.png"],
        ["components", "lossez"],
        ["recipes", "show", "no-such-recipe"],
        ["data", "preview", "tiny.yaml", "--step", "-1"],
        ["data", "preview", "tiny.yaml", "--output", "sheet.xyz"],
        ["query", "runs/nowhere/1", "a.png", "--alpha", "2"],
    ],
)
def test_what_cannot_be_meant_ends_with_2_and_a_reason(nearkin: Shell, arguments: list[str]) -> None:
    done = nearkin(*arguments)
    assert done.code == 2
    assert done.err.strip()
    assert not done.out


def test_validate_tells_every_problem_with_its_place(nearkin: Shell) -> None:
    Path("bad.yaml").write_text(
        Path("tiny.yaml").read_text().replace("steps: 3", "stepz: 3").replace("conv2", "conv22")
    )
    done = nearkin("validate", "bad.yaml")
    assert done.code == 2
    assert "bad.yaml:3:18 backbone.type: unknown backbone 'conv22'. Did you mean 'conv2'?" in done.err
    assert "bad.yaml:7:9 train.stepz" in done.err


def test_validate_prints_the_resolved_recipe_as_json(nearkin: Shell) -> None:
    done = nearkin("validate", "tiny.yaml", "seed=5", "--json")
    assert json.loads(done.out)["seed"] == 5
    assert json.loads(done.out)["train"]["device"] == "auto"


def test_a_component_that_no_plugin_brings_ends_with_3(nearkin: Shell) -> None:
    Path("zebra.yaml").write_text(Path("tiny.yaml").read_text().replace("type: embedding", "type: zebra"))
    done = nearkin("validate", "zebra.yaml")
    assert done.code == 3
    assert "--plugin FILE" in done.err


def test_debug_brings_the_traceback_back(nearkin: Shell) -> None:
    done = nearkin("--debug", "evaluate", "runs/nowhere/1")
    assert done.code == 2
    assert "Traceback" in done.err


def test_a_disk_that_does_not_take_a_file_is_told_in_one_line(nearkin: Shell) -> None:
    for arguments in (
        ["recipes", "copy", "digits-siamese", "no/such/folder.yaml"],
        ["data", "preview", "tiny.yaml", "--output", "no/such/sheet.png"],
        ["train", "tiny.yaml", "--runs", "tiny.yaml"],
    ):
        done = nearkin(*arguments)
        assert done.code == 1
        assert done.err.splitlines()[-1].startswith("error: ")


def test_a_calibration_that_cannot_promise_anything_is_told_before_training(nearkin: Shell) -> None:
    done = nearkin("train", "tiny.yaml", "--dry-run", "index.alpha=0.01", "unknown.score={type: knn, k: 9}")
    assert "'0' has 9, '1' has 9; index.alpha 0.01 needs 99" in done.err
    assert "the score knn needs 9 references a class, and one has 3" in done.err


def test_a_dry_run_checks_images_and_trains_nothing(nearkin: Shell) -> None:
    done = nearkin("train", "tiny.yaml", "--dry-run")
    assert done.code == 0
    assert "train 6, select 6, calibrate 18" in done.out
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("loss", "sampler", "told"),
    [
        (
            "{type: smooth_ap}",
            "{type: m_per_class, m: 3}",
            "6 images of 2 classes): it needs as many classes",
        ),
        ("{type: contrastive, memory: {size: 4}}", "{type: m_per_class, m: 3}", "memory.size is 4, less than a batch"),
    ],
)
def test_a_loss_that_cannot_use_the_batches_is_told_by_a_dry_run(
    nearkin: Shell, loss: str, sampler: str, told: str
) -> None:
    done = nearkin("train", "tiny.yaml", "--dry-run", f"loss={loss}", f"sampler={sampler}")
    assert done.code == 1
    assert told in done.err
    assert not done.out


def test_a_dry_run_of_a_sweep_checks_each_of_its_trainings(nearkin: Shell) -> None:
    done = nearkin("train", "tiny.yaml", "--dry-run", "--seeds", "2")
    assert done.code == 0
    assert [line.partition(":")[0] for line in done.out.splitlines()] == ["tiny, seed 0", "tiny, seed 1"]
    done = nearkin("train", "tiny.yaml", "--dry-run", "--leave-one-class-out")
    assert done.code == 2
    assert "leaves fewer than two to learn" in done.err
    assert nearkin("train", "tiny.yaml", "--dry-run", "--seeds", "2", "seed=3").code == 2
    assert not Path("runs").exists()


def test_an_engine_that_cannot_hold_the_embeddings_is_told_before_training(nearkin: Shell) -> None:
    Path("far.py").write_text(
        "from nearkin import hookimpl\nnearkin_api = 1\n@hookimpl\ndef nearkin_engines(register):\n"
        "    register('far', lambda options, build: None, metrics=['cosine'], summary='An engine for one metric.')\n"
    )
    done = nearkin("train", "tiny.yaml", "--dry-run", "--plugin", "far.py", "index.engine=far")
    assert done.code == 2
    assert "the engine far.py:far compares by cosine, and these embeddings are compared by l2" in done.err


def test_what_will_be_missing_or_idle_is_told_before_training(nearkin: Shell) -> None:
    done = nearkin("train", "tiny.yaml", "--dry-run", "train.schedule={warmup: 100}")
    assert "train.schedule.warmup, 100 steps, is as long as the training" in done.err
    several = ("method={type: prototypical, neighbors: 3}", "sampler={type: episodes, n_way: 2, n_shot: 2, n_query: 1}")
    done = nearkin("train", "tiny.yaml", "--dry-run", *several, "loss=null")
    assert "this run will have no index; its compare will answer: prototypical with several neighbors" in done.err


def test_every_bad_image_is_listed_and_nothing_is_trained(nearkin: Shell) -> None:
    for label in "xy":
        Path("images", label).mkdir(parents=True)
        for number in range(8):
            Image.fromarray(np.full((9, 9), 20 * number, dtype=np.uint8)).save(Path("images", label, f"{number}.png"))
    Path("images/x/0.png").write_bytes(b"")
    Path("images/y/1.png").write_text("not an image")
    Path("images/y/2.png").write_bytes(Path("images/y/3.png").read_bytes()[:40])
    text = (
        Path("tiny.yaml")
        .read_text()
        .replace('source: digits, known: ["0", "1"], unknown: ["7"]', f"source: folder, path: {Path.cwd()}/images")
    )
    Path("images.yaml").write_text(text.replace("calibrate: 9, test: 12", "calibrate: 0"))
    done = nearkin("train", "images.yaml")
    assert done.code == 1
    assert "3 of 16 images cannot be used" in done.err
    assert all(name in done.err for name in ("x/0.png", "y/1.png", "y/2.png"))
    assert not Path("runs").exists()


def test_classes_that_are_too_small_are_all_named(nearkin: Shell) -> None:
    done = nearkin("train", "tiny.yaml", "data.shots=900")
    assert done.code == 1
    assert "'0'" in done.err
    assert "'1'" in done.err
    assert "data.shots" in done.err


def test_query_answers_every_image(nearkin: Shell, trained: Path) -> None:
    images = [str(trained / "a.png"), str(trained / "b.png")]
    done = nearkin("query", str(trained / "runs/tiny/1"), *images, "--json", "-k", "2")
    answers = json.loads(done.out)
    assert [answer["image"] for answer in answers] == images
    assert {"status", "label", "p_values", "distance", "neighbors", "reason", "promise"} <= set(answers[0])
    assert len(answers[0]["neighbors"]) == 2
    plain = nearkin("query", str(trained / "runs/tiny/1"), *images)
    assert answers[0]["reason"] in plain.out


@pytest.mark.parametrize(
    ("extra", "said"),
    [(["missing.png"], "missing.png"), (["a.png", "-k", "0"], "k 0")],
)
def test_a_query_that_cannot_be_answered_says_why(nearkin: Shell, trained: Path, extra: list[str], said: str) -> None:
    image, *options = extra
    done = nearkin("query", str(trained / "runs/tiny/1"), str(trained / image), *options)
    assert done.code == 1
    assert said in done.err


def test_evaluate_prints_figures_beside_baselines_and_keeps_them(nearkin: Shell, trained: Path) -> None:
    done = nearkin("evaluate", str(trained / "runs/tiny/1"))
    assert done.code == 0
    assert "cluster_accuracy" in done.out
    assert "pixels" in done.out
    assert next(line for line in done.out.splitlines() if "cluster_accuracy" in line).endswith(" 24 images")
    as_json = nearkin("evaluate", str(trained / "runs/tiny/1"), "--json")
    assert "clusters" in json.loads(as_json.out)["figures"]
    listed = nearkin("runs", "list", "--runs", str(trained / "runs"), "--json")
    assert json.loads(listed.out)[0]["figures"]["cluster_accuracy"] > 0


def test_a_table_says_what_each_interval_resamples(capsys: pytest.CaptureFixture[str]) -> None:
    few = {"n": 7, "resampled": "classes"}, {"n": 1, "resampled": "groups"}, {"n": 0, "resampled": "images"}
    figures = [{**as_json(Figure(f"figure_{place}", 0.5)), **said} for place, said in enumerate(few)]
    show.print_figures({"some": {"model": figures}})
    heading, *rows = capsys.readouterr().out.splitlines()
    assert heading.split()[-2:] == ["chance", "resampled"]
    assert [row.split()[1:] for row in rows] == [["0.500", "7", "classes"], ["0.500", "1", "group"], ["0.500"]]


def test_few_shot_figures_stand_beside_their_intervals_over_episodes_and_classes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    details = {
        "over_episodes": {"low": 0.48, "high": 0.52, "episodes": 600},
        "over_classes": {"low": 0.2, "high": 0.8, "classes": 3},
    }
    of_two = {**details, "over_classes": {"low": None, "high": None, "classes": 2}}
    earlier = {"over_episodes": details["over_episodes"]}
    cases = {"a": details, "b": of_two, "c": earlier}
    figures = [as_json(Figure(name, 0.5, details=said)) for name, said in cases.items()]
    show.print_figures({"episodes": {"model": figures}})
    assert capsys.readouterr().out.splitlines()[4:] == [
        "a: over 600 episodes alone [0.480, 0.520]; over 3 classes alone [0.200, 0.800]",
        "b: over 600 episodes alone [0.480, 0.520]; over 2 classes alone, too few for an interval",
        "c: over 600 episodes alone [0.480, 0.520]",
    ]


def test_runs_list_shows_the_first_figure_of_every_evaluator(nearkin: Shell, tmp_path: Path) -> None:
    from nearkin.files import save_bundle
    from nearkin.run import EVALUATION_FORMAT, EVALUATION_VERSION

    evaluators = (
        "[{type: retrieval}, {type: verification, pairs: 20}, {type: clusters}, {type: retrieval, recall_at: [3]}]"
    )
    nearkin("train", "tiny.yaml", f"evaluate={evaluators}", "name=several", "train.steps=1")
    assert nearkin("evaluate", "runs/several/1").code == 0
    names = "retrieval#0/precision_at_1, verification_auc, cluster_accuracy, retrieval#3/precision_at_1"
    shown = nearkin("runs", "list").out.splitlines()[1]
    assert [part.split()[-2] for part in shown.split(", ")] == names.split(", ")
    before = {"headlines": {"exam_5_way": 0.5, "cluster_accuracy": 0.75, "flagged_3": 0.1}}
    folder = tmp_path / "runs/several/1/evaluations"
    save_bundle(folder, {}, before, format_name=EVALUATION_FORMAT, version=EVALUATION_VERSION)
    assert nearkin("runs", "list").out.splitlines()[1].endswith("  cluster_accuracy 0.750, exam_5_way 0.500")


def test_recipes_list_says_whole_sentences(nearkin: Shell) -> None:
    about = json.loads(nearkin("recipes", "list", "--json").out)
    assert len(about) > 15
    assert not [name for name, sentence in about.items() if not sentence.endswith(".") or ". " in sentence]
    assert about["cxr-adult"].endswith(
        "prototypical networks with a linear head on the first sixteen blocks of ImageNet weights."
    )


def test_a_damaged_run_ends_with_4_and_names_the_file(nearkin: Shell, trained: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "1"
    shutil.copytree(trained / "runs/tiny/1", copy)
    weights = bytearray((copy / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (copy / "model.safetensors").write_bytes(weights)
    done = nearkin("query", str(copy), str(trained / "a.png"))
    assert done.code == 4
    assert "model.safetensors" in done.err


def test_runs_list_tells_unfinished_and_damaged_ones(nearkin: Shell, trained: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(trained / "runs", tmp_path / "runs")
    shutil.copytree(trained / "runs/tiny/1", tmp_path / "runs/tiny/2")
    (tmp_path / "runs/tiny/2/manifest.json").write_text("{}")
    states = [found["state"] for found in json.loads(nearkin("runs", "list", "--json").out)]
    assert states[0] == "finished"
    assert states[1].startswith("damaged")


def test_no_runs_is_not_an_error(nearkin: Shell) -> None:
    done = nearkin("runs", "list")
    assert done.code == 0
    assert "no runs in runs" in done.err


def test_preview_draws_a_batch(nearkin: Shell) -> None:
    done = nearkin("data", "preview", "tiny.yaml", "--output", "sheet.png")
    assert done.out == "sheet.png\n"
    assert Image.open("sheet.png").width > 200


def test_a_picture_is_drawn_anew_over_nearkins_own_and_never_over_another(nearkin: Shell) -> None:
    for _ in range(2):
        assert nearkin("data", "preview", "tiny.yaml", "--output", "sheet.png").code == 0
    Image.new("L", (8, 8)).save("xray.png")
    Path("notes.png").write_text("no picture at all")
    for name in ("xray.png", "notes.png"):
        before = Path(name).read_bytes()
        for command in (["data", "preview", "tiny.yaml", "--output"], ["data", "check", "tiny.yaml", "--picture"]):
            done = nearkin(*command, name)
            assert done.code == 2
            assert "exists already, and is no picture of nearkin's. Choose another name." in done.err
        assert Path(name).read_bytes() == before


def test_output_that_nobody_can_hear_or_say_ends_no_command() -> None:
    def said(shell: str, **settings: str) -> subprocess.CompletedProcess[str]:
        command = shell.replace("nearkin", f"{sys.executable} -m nearkin")
        return subprocess.run(
            ["sh", "-c", command], capture_output=True, text=True, env={**os.environ, **settings}, check=False
        )

    closed = said("nearkin recipes list >&-")
    assert (closed.returncode, closed.stderr) == (0, "")
    ascii_alone = said("nearkin validate \u65e5", PYTHONIOENCODING="ascii")
    assert ascii_alone.returncode == 2
    assert "Traceback" not in ascii_alone.stderr


def test_json_stays_json_where_a_code_page_cannot_say_a_character(monkeypatch: pytest.MonkeyPatch) -> None:
    value = {"image": "\U0001f600\u00e9.png"}
    for encoding in ("cp1252", "utf-8"):
        written = io.BytesIO()
        stream = io.TextIOWrapper(written, encoding=encoding, errors="backslashreplace")
        with monkeypatch.context() as patched:
            patched.setattr(sys, "stdout", stream)
            show.print_json(value)
            stream.flush()
        assert json.loads(written.getvalue().decode(encoding)) == value


def test_a_name_never_steers_the_terminal(nearkin: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    done = nearkin("validate", "no\nsuch\x1b[2Jrecipe.yaml")
    assert done.code == 2
    assert "\x1b" not in done.err
    assert "such\\x1b[2Jrecipe.yaml" in done.err
    show.print_table(["image"], [["new\nline\x1b[31mred.png"]])
    show.message("left out: \x9bred")
    said = capsys.readouterr()
    assert said.out.splitlines()[-1].rstrip() == "new\\nline\\x1b[31mred.png"
    assert said.err == "left out: \\x9bred\n"


def test_recipes_are_listed_shown_and_copied_but_never_over_a_file(nearkin: Shell) -> None:
    assert "digits-siamese" in json.loads(nearkin("recipes", "list", "--json").out)
    shown = nearkin("recipes", "show", "digits-siamese").out
    assert shown.startswith("# nearkin train digits-siamese")
    assert nearkin("recipes", "copy", "digits-siamese", "mine.yaml").code == 0
    assert Path("mine.yaml").read_text() == shown
    again = nearkin("recipes", "copy", "digits-siamese", "mine.yaml")
    assert again.code == 2
    assert "exists already" in again.err


def test_components_and_schema_are_json(nearkin: Shell) -> None:
    found = {one["name"]: one for one in json.loads(nearkin("components", "samplers", "--json").out)}
    assert found["balanced_pairs"]["options"]["pairs"]["default"] == 30
    assert nearkin("components").code == 0
    assert "properties" in json.loads(nearkin("schema").out)
