"""A warm start takes another run's backbone, says so, and inherits what it has seen."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load
from sklearn.datasets import load_digits

import nearkin
from nearkin.cli.experiment import print_comparison
from nearkin.contracts import Batch, Build
from nearkin.errors import DamagedError, DataError, IndexCallError, RecipeError, UsageError, WorkFailed
from nearkin.evaluation.views import reopen_data
from nearkin.experiments import compare
from nearkin.report import write_report
from nearkin.run import RunFolder
from nearkin.training.watch import Watch

nearkin_api = 1
DATA = 'source: digits, known: ["0", "1", "2"], select: 4, calibrate: 10, test: 12, held_out_seed: 0'
BASE = f"""\
name: base
data: {{{DATA}, shots: 20}}
backbone: {{type: conv2, image_size: 16, width: 8, embedding_dim: 6}}
method: {{type: classifier, contrast: 0.5}}
sampler: {{type: some_items}}
train: {{steps: 30, early_stopping: {{every: 5, target: 0.6}}}}
evaluate: [{{type: clusters}}]
"""
WARM = f"""\
name: warm
seed: 3
data: {{{DATA}, shots: 5}}
backbone: {{init_from: RUN}}
method: {{type: embedding}}
loss: {{type: contrastive}}
sampler: {{type: balanced_pairs, pairs: 8}}
train: {{steps: 5, early_stopping: {{every: 5, target: 1.0, stop_at_target: true}}}}
evaluate: [{{type: clusters}}]
"""
QUICK = BASE.replace("steps: 30, early_stopping: {every: 5, target: 0.6}", "steps: 2, early_stopping: null")


class SomeItems:
    """Sixteen items a batch, labels alone."""

    steps_per_epoch = 4

    def __init__(self, build: Build) -> None:
        assert build.labels is not None
        self.count, self.seed = len(build.labels), build.seed

    def batch(self, step: int) -> Batch:
        rng = np.random.default_rng([self.seed, step])
        return Batch(np.sort(rng.choice(self.count, 16, replace=False)))


class Plugin:
    nearkin_api = 1

    @staticmethod
    @nearkin.hookimpl
    def nearkin_samplers(register: Any) -> None:
        register("some_items", lambda options, build: SomeItems(build), yields="labels", summary="Some items.")


def trained(text: str, folder: Path, messages: list[str] | None = None) -> nearkin.Run:
    recipe = folder / "recipe.yaml"
    recipe.write_text(text)
    watch = Watch(message=(messages if messages is not None else []).append)
    return nearkin.train(recipe, runs=folder / "runs", plugins=[Plugin()], watch=watch)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> nearkin.Run:
    return trained(BASE, tmp_path_factory.mktemp("base"))


def warm(base: nearkin.Run, folder: Path, text: str = WARM, messages: list[str] | None = None) -> nearkin.Run:
    return trained(text.replace("RUN", str(base.path)), folder, messages)


def backbone_of(run: nearkin.Run) -> dict[str, Any]:
    tensors = load((run.path / "model.safetensors").read_bytes())
    return {name: tensor for name, tensor in tensors.items() if name.startswith("backbone.")}


def test_it_begins_with_the_weights_of_the_other_run(base: nearkin.Run, tmp_path: Path) -> None:
    frozen = WARM.replace("init_from: RUN", "init_from: RUN, freeze: all, frozen_batch_norm: true")
    made, theirs = backbone_of(warm(base, tmp_path, frozen)), backbone_of(base)
    blocks = [name for name in theirs if ".blocks." in name]
    assert blocks
    assert all(made[name].equal(theirs[name]) for name in blocks)


def test_of_several_runs_it_begins_with_the_mean_of_their_weights(base: nearkin.Run, tmp_path: Path) -> None:
    other = warm(base, tmp_path)
    frozen = WARM.replace("RUN", f"[{base.path}, {other.path}], freeze: all, frozen_batch_norm: true")
    run = trained(frozen, tmp_path)
    made, *theirs = (backbone_of(one) for one in (run, base, other))
    kernels = [name for name, tensor in made.items() if tensor.ndim == 4]
    assert any(not theirs[0][name].equal(theirs[1][name]) for name in kernels)
    for name in kernels:
        torch.testing.assert_close(made[name], (theirs[0][name] + theirs[1][name]) / 2)
    assert base.model.trained_on | other.model.trained_on <= run.model.trained_on
    assert nearkin.load_run(run.path, plugins=[Plugin()]).recipe.backbones[0].init_from == (
        str(base.path),
        str(other.path),
    )


def test_no_mean_of_networks_that_began_from_other_weights(base: nearkin.Run, tmp_path: Path) -> None:
    other = trained(QUICK.replace("name: base", "name: base\nseed: 1"), tmp_path)
    with pytest.raises(UsageError, match="did not begin from the same ones"):
        trained(WARM.replace("RUN", f"[{base.path}, {other.path}]"), tmp_path)


def test_a_run_that_is_named_twice_is_a_problem(base: nearkin.Run, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="stands there twice"):
        trained(WARM.replace("RUN", f"[{base.path}, {base.path}]"), tmp_path)


def test_what_the_section_leaves_out_is_as_in_the_other_run(base: nearkin.Run, tmp_path: Path) -> None:
    run = warm(base, tmp_path)
    assert run.recipe.backbones[0].selection == base.recipe.backbones[0].selection
    assert run.recipe.backbones[0].init_from == (str(base.path),)
    assert nearkin.load_run(run.path, plugins=[Plugin()]).recipe == run.recipe


def test_without_a_layer_the_embedding_is_the_scores_of_the_classes(tmp_path: Path) -> None:
    """The base's linear head goes to whoever starts from it, and answers there as probabilities."""
    linear = QUICK.replace("embedding_dim: 6", "freeze: all, embedding_dim: 3").replace("contrast: 0.5", "layer: false")
    scores = trained(linear, tmp_path)
    backbone = f"init_from: {scores.path}, freeze: everything, normalize: softmax"
    warmed = QUICK.replace("type: conv2, image_size: 16, width: 8, embedding_dim: 6", backbone)
    run = trained(warmed.replace("name: base", "name: warm"), tmp_path)
    assert backbone_of(run)["backbone.head.weight"].equal(backbone_of(scores)["backbone.head.weight"])


def test_a_base_without_a_layer_needs_a_dimension_a_class(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"scores of 3 classes, and it has 6 dimensions"):
        trained(BASE.replace("contrast: 0.5", "layer: false"), tmp_path)


def test_it_says_what_was_taken_and_what_was_not(base: nearkin.Run, tmp_path: Path) -> None:
    messages: list[str] = []
    warm(base, tmp_path, WARM.replace("init_from: RUN", "init_from: RUN, embedding_dim: 9"), messages)
    [told] = [message for message in messages if message.startswith("backbone from")]
    assert "tensors taken; not taken (no place or another shape): head.bias, head.weight; begin anew" in told


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("init_from: RUN, width: 16", "is another one"),
        ("init_from: RUN, type: conv4, width: 8, image_size: 16", "is another one"),
        ("init_from: RUN, channels: 3", "takes other images"),
    ],
)
def test_a_backbone_that_does_not_fit_is_refused(base: nearkin.Run, tmp_path: Path, section: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        warm(base, tmp_path, WARM.replace("init_from: RUN", section))


def test_a_run_that_is_not_there_is_a_problem_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"recipe.yaml:4:23 backbone.init_from: there is no finished run"):
        trained(WARM.replace("RUN", "runs/none/1"), tmp_path)


def test_calibrating_on_what_the_ancestor_was_trained_on_is_refused(base: nearkin.Run, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"was trained on \d+ of the images that are to calibrate"):
        warm(base, tmp_path, WARM.replace("held_out_seed: 0", "held_out_seed: 1"))


def test_images_that_only_share_their_names_are_told_apart_from_the_same_ones(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("first", "second"):
        for label in "xy":
            (tmp_path / name / label).mkdir(parents=True)
            for number in range(8):
                noise = Image.fromarray(rng.integers(0, 256, (16, 16), np.uint8))
                noise.save(tmp_path / name / label / f"{number}.png")
    said = "{source: folder, path: PATH, shots: all, select: 0, calibrate: 0}"
    first = trained(QUICK.replace(f"{{{DATA}, shots: 20}}", said.replace("PATH", str(tmp_path / "first"))), tmp_path)
    second = WARM.replace(f"{{{DATA}, shots: 5}}", said.replace("PATH", str(tmp_path / "second")))
    second = second.replace("select: 0, calibrate: 0", "select: 0, calibrate: 4").replace("shots: all", "shots: 4")
    second = second.replace("early_stopping: {every: 5, target: 1.0, stop_at_target: true}", "early_stopping: null")
    with pytest.raises(DataError) as told:
        warm(first, tmp_path, second)
    assert "was trained on 8 of the images that are to calibrate" in str(told.value)
    assert "8 of them were told by their name or group alone" in str(told.value)
    (tmp_path / "higher").mkdir()
    (tmp_path / "second").rename(tmp_path / "higher" / "second")
    assert warm(first, tmp_path, second.replace(str(tmp_path / "second"), str(tmp_path / "higher"))).index.promise


def test_the_index_refuses_what_the_ancestor_was_trained_on(base: nearkin.Run, tmp_path: Path) -> None:
    """The two runs share held-out images; the base saw more of the others than the warm run did."""
    run = warm(base, tmp_path)
    assert base.model.trained_on <= run.model.trained_on
    groups = sorted(base.model.trained_groups - set(run.index.references.groups))
    vectors = np.zeros((10, 6), dtype=np.float32) + np.arange(10, dtype=np.float32)[:, None] + 1
    with pytest.raises(IndexCallError, match="are of a group that trained the model"):
        run.index.calibrate(vectors, ["0"] * 10, groups=groups[:10])


def test_other_shots_leave_select_and_calibrate_alone(base: nearkin.Run, tmp_path: Path) -> None:
    assert warm(base, tmp_path, WARM.replace("seed: 3", "seed: 4", 1)).index.promise.way == "held_out"


def test_the_run_says_when_it_reached_its_target(base: nearkin.Run, tmp_path: Path) -> None:
    assert base.facts["target"] == 0.6
    assert base.facts["steps_to_target"] % 5 == 0
    assert base.facts["epochs_to_target"] == base.facts["steps_to_target"] / 4


def test_a_target_that_is_never_reached_is_said_too(base: nearkin.Run, tmp_path: Path) -> None:
    never = BASE.replace("steps: 30", "steps: 2").replace("target: 0.6", "target: 1.0").replace("every: 5", "every: 1")
    messages: list[str] = []
    run = trained(never, tmp_path, messages)
    assert run.facts["steps_to_target"] is None
    assert "The target of 1 on select was never reached." in messages[-1]


def test_training_can_end_at_the_target(base: nearkin.Run, tmp_path: Path) -> None:
    run = trained(BASE.replace("target: 0.6", "target: 0.5, stop_at_target: true"), tmp_path)
    assert run.facts["ended"] == "target reached"
    assert run.facts["steps"] == run.facts["steps_to_target"]


def test_a_base_is_measured_beside_its_own_beginning(base: nearkin.Run, tmp_path: Path) -> None:
    """The baseline of a warm run is the backbone that it began with, not a random one."""
    frozen = WARM.replace("init_from: RUN", "init_from: RUN, freeze: all, frozen_batch_norm: true")
    figures = nearkin.evaluate(warm(base, tmp_path, frozen), watch=Watch())["figures"]["clusters"]
    values = {name: {f["name"]: f["value"] for f in figures[name]} for name in ("model", "untrained")}
    assert values["untrained"]["cluster_accuracy"] > 0.5


def test_a_warm_run_is_measured_without_its_base_and_says_what_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = trained(QUICK, tmp_path)
    run = warm(base, tmp_path)
    whole = nearkin.evaluate(run, watch=Watch())
    shutil.rmtree(base.path)
    told: list[str] = []
    found = nearkin.evaluate(run, watch=Watch(message=told.append))
    why = f"the baseline 'untrained' is left out, as the run that this one began with, {base.path}, is not here"
    assert f"{why}." in told
    assert (whole["not_measured"], found["not_measured"]) == ({}, {"untrained": why})
    kept = whole["figures"]["clusters"]
    assert found["figures"]["clusters"] == {view: kept[view] for view in ("model", "pixels", "model - pixels")}
    shutil.copytree(run.path, tmp_path / "again")
    compared = compare([run.path, tmp_path / "again"], plugins=[Plugin()], watch=Watch())
    assert [why in one["notes"] for one in compared["runs"]] == [True, True]
    print_comparison(compared)
    assert why in capsys.readouterr().out
    page = write_report(nearkin.load_run(run.path, plugins=[Plugin()]), tmp_path / "page.html", watch=Watch())
    assert "is left out, as the run that this one began with" in page.read_text()


def test_an_unfinished_run_is_no_ancestor(base: nearkin.Run, tmp_path: Path) -> None:
    other = trained(BASE, tmp_path)
    RunFolder(other.path).mark("interrupted")
    with pytest.raises((UsageError, WorkFailed), match="not finished"):
        warm(other, tmp_path / "runs")


def test_a_run_is_not_resumed_on_a_base_that_was_trained_anew(tmp_path: Path) -> None:
    """Its weights come from the old base, whose images the new one does not know: the index would take them."""
    base = trained(QUICK, tmp_path)
    run = warm(base, tmp_path)
    again = trained(QUICK.replace("name: base", "name: base\nseed: 9"), tmp_path / "runs")
    shutil.rmtree(base.path)
    shutil.copytree(again.path, base.path)
    RunFolder(run.path).mark("training")
    with pytest.raises(DamagedError, match="has other weights now than when this run began with it"):
        nearkin.resume(run.path, plugins=[Plugin()], watch=Watch())


def digit_patients(folder: Path) -> None:
    """Two manifests of other images of the same forty patients of each of three digits."""
    digits = load_digits()
    lines: dict[str, list[str]] = {"base": ["path,label,group"], "child": ["path,label,group"]}
    for label in (0, 1, 2):
        for place, row in enumerate(np.flatnonzero(digits.target == label)[:120]):
            Image.fromarray((digits.images[row] * 15.9).astype(np.uint8)).save(folder / f"{row}.png")
            lines["base" if place % 3 == 0 else "child"].append(f"{row}.png,{label},patient {label}-{place // 3}")
    for name, rows in lines.items():
        (folder / f"{name}.csv").write_text("\n".join(rows))


def test_other_images_of_patients_that_trained_the_ancestor_are_not_asked_about(tmp_path: Path) -> None:
    digit_patients(tmp_path)
    splits = "shots: 30, select: 0, calibrate: 0"
    of_base = QUICK.replace(DATA, f"source: manifest, path: {tmp_path}/base.csv, {splits}").replace(", shots: 20", "")
    base = trained(of_base, tmp_path)
    assert len(base.model.trained_groups) == 90
    of_child = f"source: manifest, path: {tmp_path}/child.csv, {splits.replace('30', '10')}"
    text = WARM.replace(DATA, of_child).replace(", shots: 5", "")
    text = text.replace(", early_stopping: {every: 5, target: 1.0, stop_at_target: true}", "")
    run = warm(base, tmp_path, text)
    dataset, _ = reopen_data(run, Watch())
    kin = [item for item in dataset.items["test"] if item.group in base.model.trained_groups]
    assert kin, "the two manifests share patients"
    figure = nearkin.evaluate(run, watch=Watch())["figures"]["clusters"]["model"][0]
    assert figure["details"]["left_out"]["seen"] == len(kin)


def test_a_select_split_that_cannot_judge_is_refused_before_the_first_step(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"among the 3 images of select no image has both\. Raise data\.select to 2"):
        trained(BASE.replace("select: 4", "select: 1"), tmp_path)
    assert not list(tmp_path.glob("runs/*/*/manifest.json")), "nothing began"
    trained(QUICK.replace("select: 4", "select: 1"), tmp_path)
