"""Whole runs on digits: killed and resumed as real processes, opened again, refused where damaged."""

from __future__ import annotations

import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import nearkin
from nearkin.errors import DamagedError, DataError, IndexCallError, PluginError, UsageError, WorkFailed
from nearkin.files import read_manifest, sha256, write_manifest
from nearkin.run import FORMAT, LOCK, VERSION, RunFolder
from nearkin.runs import list_runs
from nearkin.training.watch import Watch

RECIPE = """\
name: tiny
data: {source: digits, known: ["0", "1", "2"], unknown: ["7"], shots: 4, select: 4, calibrate: 10, test: 12}
backbone: {type: conv2, image_size: 16, width: 8}
method: {type: embedding}
loss: {type: contrastive}
sampler: {type: balanced_pairs, pairs: 8}
train: {steps: 60, checkpoint_every: 7, augment: {degrees: 10}, early_stopping: {every: 5, patience: 99}}
evaluate: [{type: n_way_exam, n_way: 5, questions: 50, resamples: 20}, {type: clusters}, {type: open_set}]
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> nearkin.Run:
    """A run that was never interrupted."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "tiny.yaml").write_text(RECIPE)
    return nearkin.train(folder / "tiny.yaml", runs=folder / "runs", watch=Watch())


def weights(run: Path) -> bytes:
    return (run / "model.safetensors").read_bytes()


def start(recipe: Path, *arguments: str) -> subprocess.Popen[str]:
    """`nearkin train` as a process of its own, from which a kill is a kill."""
    command = [sys.executable, "-m", "nearkin", "train", *(arguments or (str(recipe),))]
    runs = ["--runs", str(recipe.parent / "runs")] if not arguments else []
    return subprocess.Popen([*command, *runs], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_step(metrics: Path, step: int) -> None:
    """Until that many steps are written, or the run is over."""
    for _ in range(20000):
        if metrics.exists() and len(metrics.read_bytes().splitlines()) >= step:
            return
        time.sleep(0.01)
    raise AssertionError(f"{metrics} never reached step {step}")


@pytest.mark.soak
def test_a_killed_process_resumes_to_the_same_weights_bit_for_bit(
    recipe: Path, finished: nearkin.Run, count: Callable[[str, int, int], int], soaked: Callable[[str], None]
) -> None:
    run = recipe.parent / "runs" / "tiny" / "1"
    rng = random.Random(0)
    kills = count("kills of a training process", 1, 20)
    process = start(recipe)
    for kill in range(kills):
        wait_for_step(run / "metrics.jsonl", 1 + rng.randrange(50 * (kill + 1) // kills))
        process.kill()
        process.wait()
        assert not (run / "model.safetensors").exists() or list_runs(recipe.parent / "runs")[0]["state"] == "finished"
        process = start(recipe, "--resume", str(run))
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert out.splitlines()[-1] == str(run)
    assert weights(run) == weights(finished.path)
    assert (run / "metrics.jsonl").read_bytes() == (finished.path / "metrics.jsonl").read_bytes()
    soaked(
        f"{kills} kills (SIGKILL at random steps) of one training process, each resumed: "
        "weights and metrics are the same bytes as without."
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_leaves_a_run_that_says_how_to_continue(
    recipe: Path, finished: nearkin.Run, number: signal.Signals
) -> None:
    run = recipe.parent / "runs" / "tiny" / "1"
    process = start(recipe)
    wait_for_step(run / "metrics.jsonl", 5)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    if process.returncode == 0:
        pytest.fail("the run was over before the signal came")
    assert process.returncode == 1
    assert f"nearkin train --resume {run}" in err
    assert "Traceback" not in err
    assert list_runs(recipe.parent / "runs")[0]["state"] == "interrupted"
    with pytest.raises(WorkFailed, match="interrupted, not finished"):
        nearkin.load_run(run)
    assert weights(nearkin.resume(run, watch=Watch()).path) == weights(finished.path)


def test_a_finished_run_opens_with_all_that_was_asked_and_came_out(finished: nearkin.Run) -> None:
    nearkin.evaluate(finished)
    run = nearkin.load_run(finished.path)
    assert run.recipe == finished.recipe
    assert len(run.metrics) == 60
    assert set(run.evaluations["figures"]) == {"n_way_exam", "clusters", "open_set"}
    views = run.evaluations["figures"]["clusters"]
    assert {"model", "pixels", "untrained", "model - pixels", "model - untrained"} == set(views)
    listed = list_runs(finished.path.parents[1])[0]
    assert listed["state"] == "finished"
    assert "exam_5_way" in listed["figures"]


def test_evaluating_twice_gives_the_same_figures(finished: nearkin.Run) -> None:
    assert nearkin.evaluate(finished)["figures"] == nearkin.evaluate(nearkin.load_run(finished.path))["figures"]


def test_the_index_knows_what_trained_it_and_refuses_to_calibrate_on_it(finished: nearkin.Run) -> None:
    from nearkin.data import load_data

    source, dataset = load_data(finished.recipe.data, finished.recipe.seed)
    image = source.load(dataset.items["train"][0]).pixels
    chosen = source.load(dataset.items["select"][0]).pixels
    index = nearkin.load_index(finished.path)
    for trained in (image, chosen):
        with pytest.raises(nearkin.NearkinError, match="train"):
            index.calibrate([trained], [dataset.items["train"][0].label])


def test_a_query_answers_the_same_from_the_run_and_from_a_saved_index_elsewhere(
    finished: nearkin.Run, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    images = [(rng.random((8, 8)) * 255).astype(np.uint8) for _ in range(3)]
    finished.index.save(tmp_path / "elsewhere")
    again = nearkin.load_index(tmp_path / "elsewhere")
    assert again.query(images) == finished.index.query(images)


def test_what_trained_stays_refused_as_embedding_or_group_after_its_references_went(finished: nearkin.Run) -> None:
    from nearkin.data import ImageStore, load_data

    source, dataset = load_data(finished.recipe.data, finished.recipe.seed)
    items = [*dataset.items["train"], *dataset.items["select"]]
    vectors = finished.model.embed_tensor(ImageStore.load(source, items, finished.model.input).images(items))
    index = nearkin.load_index(finished.path)
    index.remove(ids=index.references.ids[::2].tolist())
    new = finished.embed([source.load(item).pixels for item in dataset.items["test"][:1]])
    for vector, item in zip(vectors, items, strict=True):
        with pytest.raises(nearkin.NearkinError, match=r"trained the model|of a reference"):
            index.calibrate(vector, [item.label])
        with pytest.raises(nearkin.NearkinError, match="of a group that trained the model"):
            index.calibrate(new, [item.label], groups=[item.group])


def test_parts_of_another_run_are_refused(finished: nearkin.Run, recipe: Path) -> None:
    other = nearkin.train(recipe, overrides={"seed": 1}, runs=recipe.parent / "runs", watch=Watch())
    nearkin.evaluate(other, watch=Watch())
    nearkin.evaluate(finished, watch=Watch())
    for part in ("index", "evaluations"):
        shutil.rmtree(other.path / part)
        shutil.copytree(finished.path / part, other.path / part)
    with pytest.raises(DamagedError, match="its index was made with another model"):
        _ = nearkin.load_run(other.path).index
    with pytest.raises(DamagedError, match="its evaluation was made with another model"):
        _ = nearkin.load_run(other.path).evaluations


@pytest.mark.parametrize(
    ("queries", "support", "labels", "said"),
    [
        (np.zeros((1, 3), np.float32), np.ones((1, 8), np.float32), ["a"], "3 dimensions"),
        (np.ones((1, 8), np.float32), np.zeros((0, 8), np.float32), [], "0 support images"),
        (np.full((1, 8), np.nan, np.float32), np.ones((1, 8), np.float32), ["a"], "NaN"),
        (np.ones((1, 8), np.float32), np.ones((2, 8), np.float32), ["a"], "2 support images, 1 labels"),
    ],
)
def test_compare_refuses_what_it_cannot_compare(
    finished: nearkin.Run, queries: object, support: object, labels: list[str], said: str
) -> None:
    with pytest.raises(nearkin.NearkinError, match=said):
        finished.compare(queries, support, labels)


def test_compare_scores_by_class_in_order_of_first_appearance(finished: nearkin.Run) -> None:
    references = finished.index.references
    scores = finished.compare(references.vectors, references.vectors, references.labels)
    order = list(dict.fromkeys(references.labels))
    assert [order[column] for column in scores.argmax(axis=1)] == list(references.labels)


def test_every_file_with_a_byte_changed_cut_or_missing_is_refused_by_name(
    finished: nearkin.Run, tmp_path: Path
) -> None:
    copy = tmp_path / "runs" / "tiny" / "1"
    shutil.copytree(finished.path, copy)
    for path in [*copy.glob("*"), *(copy / "index").glob("*")]:
        if not path.is_file():
            continue
        if path.name.endswith(".lock"):
            continue
        good = path.read_bytes()
        changed = bytearray(good)
        changed[len(good) // 2] ^= 1
        for bad in (bytes(changed), good[:-1], None):
            path.unlink() if bad is None else path.write_bytes(bad)
            with pytest.raises(DamagedError, match=path.name):
                nearkin.load_run(copy).index.query(np.zeros((1, 8), dtype=np.float32) + 1)
        path.write_bytes(good)
    assert nearkin.load_run(copy).index.labels == ("0", "1", "2")


def test_a_run_whose_images_changed_is_not_evaluated(finished: nearkin.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from nearkin.data.sources import Digits

    real = Digits.load

    def other(self: Digits, item: object) -> object:
        from dataclasses import replace

        picture = real(self, item)  # type: ignore[arg-type]
        return replace(picture, pixels=picture.pixels * np.float32(0.9))

    monkeypatch.setattr(Digits, "load", other)
    with pytest.raises(DamagedError, match="images or labels changed"):
        nearkin.evaluate(nearkin.load_run(finished.path))


def test_a_run_that_was_resumed_on_other_images_is_refused(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = recipe.parent / "runs" / "tiny" / "1"
    process = start(recipe)
    wait_for_step(run / "metrics.jsonl", 2)
    process.kill()
    process.wait()
    meta = RunFolder(run)
    meta.mark("training", data="another fingerprint")
    with pytest.raises(DataError, match="images changed since this run began"):
        nearkin.resume(run, watch=Watch())


def test_a_run_is_resumed_by_as_many_processes_as_began_it_and_says_what_else_was_other(recipe: Path) -> None:
    run = recipe.parent / "runs" / "tiny" / "1"
    process = start(recipe)
    wait_for_step(run / "metrics.jsonl", 2)
    process.kill()
    process.wait()
    RunFolder(run).mark("training", processes=2)
    with pytest.raises(UsageError, match="processes: 2 began this run, and there are 1 now"):
        nearkin.resume(run, watch=Watch())
    threads = read_manifest(run, format_name=FORMAT, version=VERSION)["meta"]["threads"]
    RunFolder(run).mark("training", processes=1, threads=threads + 1)
    said: list[str] = []
    facts = nearkin.resume(run, watch=Watch(message=said.append)).facts
    assert [line for line in said if line.startswith("threads changed since this run began")]
    assert (facts["threads"], facts["resumed"]) == (threads + 1, [{"threads": threads}])


def test_a_run_is_trained_by_one_process_at_a_time_and_a_killed_one_is_listed_as_unfinished(recipe: Path) -> None:
    run = recipe.parent / "runs" / "tiny" / "1"
    process = start(recipe)
    wait_for_step(run / "metrics.jsonl", 2)
    process.send_signal(signal.SIGSTOP)
    assert list_runs(recipe.parent / "runs")[0]["state"] == "training"
    with pytest.raises(WorkFailed, match="another process is training this run"):
        nearkin.resume(run, watch=Watch())
    process.kill()
    process.wait()
    assert list_runs(recipe.parent / "runs")[0]["state"] == "unfinished"
    assert nearkin.resume(run, watch=Watch()).facts["state"] == "finished"


def test_two_processes_share_one_sequence_of_batches_and_write_one_run(recipe: Path, finished: nearkin.Run) -> None:
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "-m", "nearkin"]
    settings = ["train.steps=null", "train.epochs=3", "train.device=cpu", "train.schedule={type: constant}"]
    command = [*launch, "train", str(recipe), *settings, "--runs", str(recipe.parent / "runs")]
    subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    run = nearkin.load_run(recipe.parent / "runs" / "tiny" / "1")
    assert run.facts["processes"] == 2
    batches_a_pass = finished.facts["steps_per_epoch"]  # each process takes one a step
    assert run.facts["steps_per_epoch"] == batches_a_pass / 2
    assert run.facts["steps"] == math.ceil(3 * batches_a_pass / 2)
    assert not (recipe.parent / "runs" / "tiny" / "2").exists()
    # The first process's first batch is the sequence's first: one process had the same loss there, and no other.
    assert run.metrics[0]["loss"] == pytest.approx(finished.metrics[0]["loss"], rel=1e-5)
    assert run.metrics[1]["loss"] != pytest.approx(finished.metrics[1]["loss"], rel=1e-5)


def test_two_trainings_get_folders_of_their_own(tmp_path: Path) -> None:
    made = [RunFolder.create(tmp_path, "x").path.name for _ in range(3)]
    assert made == ["1", "2", "3"]


def with_another_loss(run: nearkin.Run, copy: Path, loss: str, components: list[dict[str, str]]) -> None:
    """A copy of a run whose recipe says `loss` after `type:`, and whose manifest says that these parts made it."""
    shutil.copytree(run.path, copy)
    text = (copy / "recipe.yaml").read_text().replace("type: contrastive", f"type: {loss}")
    (copy / "recipe.yaml").write_text(text)
    body = read_manifest(copy, format_name=FORMAT, version=VERSION)
    body["files"]["recipe.yaml"] |= {"sha256": sha256(text.encode()), "size": len(text.encode())}
    body["meta"]["components"] = components
    write_manifest(copy, body)


def test_a_run_made_with_a_missing_plugin_names_it(finished: nearkin.Run, tmp_path: Path) -> None:
    copy, zebra = tmp_path / "1", {"kind": "loss", "name": "zebra_loss", "from": "nearkin-zebra", "version": "2.1"}
    with_another_loss(finished, copy, "zebra_loss", [*finished.facts["components"], zebra])
    with pytest.raises(PluginError, match=r"nearkin-zebra 2\.1"):
        nearkin.load_run(copy)


def test_a_run_whose_plugin_takes_other_options_now_says_what_it_was_made_with(
    finished: nearkin.Run, tmp_path: Path
) -> None:
    copy, other = tmp_path / "1", {"kind": "loss", "name": "contrastive", "from": "nearkin-zebra", "version": "2.1"}
    with_another_loss(finished, copy, "contrastive\n  gone: 1", [other])
    with pytest.raises(
        PluginError, match=r"may be others here.*: loss contrastive of nearkin-zebra 2(.|\n)*loss\.gone"
    ):
        nearkin.load_run(copy)


def test_the_run_folder_is_the_last_line_on_stdout(recipe: Path) -> None:
    arguments = [str(recipe), "train.steps=2", "--runs", str(recipe.parent / "r")]
    command = [sys.executable, "-m", "nearkin", "train", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "COLUMNS": "40"})
    run = Path(done.stdout.splitlines()[-1])
    assert json.loads((run / "manifest.json").read_text())["meta"]["state"] == "finished"


def test_no_run_by_that_path_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(nearkin.NearkinError, match="nearkin runs list"):
        nearkin.load_run(tmp_path / "nothing")


def test_an_open_run_stays_where_it_was_when_the_process_goes_elsewhere(
    finished: nearkin.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nearkin.evaluate(finished, watch=Watch())
    monkeypatch.chdir(finished.path.parent)
    run = nearkin.load_run("1")
    assert repr(run) == "Run('1')", "said as it was given"
    monkeypatch.chdir(tmp_path)
    assert set(run.evaluations["figures"]) == {"n_way_exam", "clusters", "open_set"}
    assert run.index.labels == ("0", "1", "2")
    assert run.path == finished.path, "where the given path no longer leads there, the whole one is said"


def test_the_folder_that_the_process_is_in_may_go(
    finished: nearkin.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(finished.path.parent)
    run = nearkin.load_run("1")
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert run.index.labels == ("0", "1", "2")


def test_an_unfinished_run_whose_lock_may_not_be_taken_is_listed_and_refused_as_unfinished(
    tmp_path: Path, finished: nearkin.Run
) -> None:
    for number in "12":
        shutil.copytree(finished.path, tmp_path / "tiny" / number)
    other = RunFolder(tmp_path / "tiny" / "2")
    other.mark("training")
    (other.path / LOCK).unlink(missing_ok=True)
    (other.path / LOCK).mkdir()  # what no user can take as a lock: stands for another user's
    assert [one["state"] for one in list_runs(tmp_path)] == ["finished", "unfinished"]
    with pytest.raises(WorkFailed, match="this run is unfinished, not finished"):
        nearkin.load_run(other.path)
    with pytest.raises(WorkFailed, match="could not be saved"), other.owned():
        pass


def test_where_runs_cannot_be_made_is_said_in_words(recipe: Path) -> None:
    (recipe.parent / "runs").write_text("in the way")
    with pytest.raises(WorkFailed, match=r"tiny: could not be saved: .* What it held before is whole\. A file stands"):
        nearkin.train(recipe, overrides=["train.steps=1"], runs=recipe.parent / "runs", watch=Watch())


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ("35", "support_labels: '35' is not a list of 2 labels"),
        (None, "support_labels: None is not a list of 2 labels"),
        (7, "support_labels: 7 is not a list of 2 labels"),
        (["3", None], "a label is a text or a number, but there is None at 1"),
        (np.array([np.nan, 1.0]), "a label is a text or a number, but there is nan at 0"),
        (np.array([[3], [5]]), r"a label is a text or a number, but there is \[3\] at 0, \[5\] at 1"),
        (["3"], "2 support images, 1 labels; one each"),
    ],
)
def test_what_are_no_labels_of_support_images_is_refused(labels: Any, said: str, finished: nearkin.Run) -> None:
    vectors = finished.index.references.vectors[:2]
    with pytest.raises(nearkin.NearkinError, match=said):
        finished.compare(vectors, vectors, labels)


@pytest.mark.parametrize(
    "labels",
    [["3", "5"], (text for text in "35"), np.array([3, 5]), torch.tensor([3, 5]), np.array(["3", "5"])],
    ids=["list", "generator", "array", "tensor", "array of text"],
)
def test_labels_of_support_images_come_in_any_list(labels: Any, finished: nearkin.Run) -> None:
    vectors = finished.index.references.vectors[:2]
    np.testing.assert_array_equal(
        finished.compare(vectors, vectors, labels), finished.compare(vectors, vectors, ["3", "5"])
    )


def test_one_image_may_have_its_label_alone(finished: nearkin.Run) -> None:
    vectors = finished.index.references.vectors
    assert finished.compare(vectors[:2], vectors[0], "covid").shape == (2, 1)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda run: nearkin.load_run(None), "a run: give a path, as text or a Path, not None"),  # type: ignore[arg-type]
        (lambda run: nearkin.evaluate(None), "a run: give a path"),  # type: ignore[arg-type]
        (lambda run: nearkin.load_index(None), "a run or index: give a path"),  # type: ignore[arg-type]
        (lambda run: nearkin.train({"name": "x"}), "a recipe: give a path, as text or a Path, not a dict"),  # type: ignore[arg-type]
        (lambda run: run.index.save(None), "save: give a path"),
        (lambda run: run.index.export(None), "export: give a path"),
        (
            lambda run: nearkin.load_run(run.path, plugins=math),
            r"plugins: give a list, plugins=\[\.\.\.\], not a module",
        ),  # type: ignore[arg-type]
        (lambda run: nearkin.load_index(run.path, plugins=math), "plugins: give a list"),  # type: ignore[arg-type]
        (lambda run: nearkin.train("x", plugins=math), "plugins: give a list"),  # type: ignore[arg-type]
        (lambda run: nearkin.resume(run.path, plugins=math), "plugins: give a list"),  # type: ignore[arg-type]
        (lambda run: nearkin.load_run(run.path, plugin_files="p.py"), "plugin_files: give a list.*not the text 'p.py'"),
        (lambda run: nearkin.compare("runs/x/1"), "runs: give a list.*not the text 'runs/x/1'"),
        (lambda run: nearkin.compare(run), "runs: give a list.*not a Run"),
    ],
)
def test_one_thing_for_a_list_or_none_for_a_path_is_refused_in_words(
    call: Callable[[nearkin.Run], object], said: str, finished: nearkin.Run
) -> None:
    with pytest.raises(UsageError, match=said):
        call(finished)


def test_embeddings_are_not_embedded_as_if_they_were_a_picture(finished: nearkin.Run) -> None:
    vectors = finished.index.references.vectors
    picture = np.random.default_rng(0).random((12, finished.model.embedding_dim))
    for calls in (finished.embed, finished.embed_each):
        for given in (vectors, [vectors[:3], vectors[3:]], torch.from_numpy(vectors.copy()), picture):
            with pytest.raises(IndexCallError, match="looks like embeddings, which are 8 wide here"):
                calls(given)
    assert finished.embed(picture[:, :, None]).shape == (1, 8), "the mend that it names"
    assert finished.embed([picture[:8], picture[:8]]).shape == (2, 8), "a square array is a picture"
    assert finished.embed(picture.astype(np.uint8)).shape == (1, 8), "whole numbers are an image"
