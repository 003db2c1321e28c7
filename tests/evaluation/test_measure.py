"""A run's figures: beside their baselines, paired, each image embedded once, nothing of test seen before."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nearkin
from nearkin.contracts import Figure
from nearkin.data import load_data
from nearkin.errors import DataError, UsageError, WorkFailed
from nearkin.evaluation import measure
from nearkin.evaluation import views as spaces
from nearkin.evaluation.differences import difference
from nearkin.explaining import explain
from nearkin.model import Model, build_model
from nearkin.runs import list_runs
from nearkin.training.watch import Watch
from nearkin.writable import require_writable

RECIPE = """\
name: tiny
data: {source: digits, known: ["0", "1", "2"], unknown: ["7"], shots: 4, select: 4, calibrate: 10, test: 12}
backbone: {type: conv2, image_size: 16, width: 8}
method: {type: embedding}
loss: {type: contrastive}
sampler: {type: balanced_pairs, pairs: 8}
train: {steps: 10}
evaluate: [{type: n_way_exam, n_way: 5, questions: 50, resamples: 20}, {type: clusters, resamples: 20}]
"""


def trained(folder: Path, *overrides: str) -> nearkin.Run:
    (folder / "tiny.yaml").write_text(RECIPE)
    return nearkin.train(folder / "tiny.yaml", overrides=overrides, runs=folder / "runs", watch=Watch())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> nearkin.Run:
    return trained(tmp_path_factory.mktemp("run"))


def figures(run: nearkin.Run) -> dict[str, Any]:
    found: dict[str, Any] = nearkin.evaluate(run, watch=Watch())["figures"]
    return found


def test_a_difference_is_paired_by_replicate() -> None:
    rng = np.random.default_rng(0)
    common = rng.normal(0, 0.2, 500)
    model = Figure("x", 0.9, n=500, replicates=tuple(0.9 + common + rng.normal(0, 0.01, 500)))
    base = Figure("x", 0.6, n=500, replicates=tuple(0.6 + common + rng.normal(0, 0.01, 500)))
    gain = difference(model, base)
    assert gain["value"] == pytest.approx(0.3)
    assert 0.25 < gain["low"] < 0.3 < gain["high"] < 0.35, "what both share cancels"


def test_two_views_that_agree_on_a_few_images_are_not_said_to_agree_for_certain() -> None:
    same = Figure("x", 1.0, n=2, replicates=(1.0,) * 20)
    gain = difference(same, same)
    assert gain["value"] == 0
    assert gain["low"] < -0.5
    assert gain["high"] > 0.5


def test_every_figure_stands_beside_two_baselines_and_its_gain_over_each(run: nearkin.Run) -> None:
    for views in figures(run).values():
        names = [figure["name"] for figure in views["model"]]
        assert [figure["name"] for figure in views["pixels"]] == names
        assert [figure["name"] for figure in views["untrained"]] == names
        for baseline in ("pixels", "untrained"):
            by_name = {figure["name"]: figure["value"] for figure in views[baseline]}
            for gain, figure in zip(views[f"model - {baseline}"], views["model"], strict=True):
                assert gain["value"] == pytest.approx(figure["value"] - by_name[figure["name"]])


def test_each_image_is_embedded_once(run: nearkin.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    figures(run)
    embedded: list[int] = []
    real = Model.embed_tensor

    def counting(self: Model, images: Any) -> Any:
        embedded.append(len(images) if self.trained_on else 0)
        return real(self, images)

    monkeypatch.setattr(Model, "embed_tensor", counting)
    figures(nearkin.load_run(run.path))
    assert sum(embedded) == 0, "the trained model's embeddings are kept in the run"


def test_what_is_asked_no_answers_makes_no_index(run: nearkin.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    monkeypatch.setattr(spaces, "fill_index", lambda *given: made.append("an index"))
    shown = spaces.views_of(run, Watch())
    assert [(view.index.metric, view.index.alpha) for view in shown] == [("l2", 0.1)] * 3
    assert not made
    with pytest.raises(nearkin.NearkinError):
        shown[1].index.query(shown[1].embeddings[:1])
    assert len(made) == 1


def test_the_untrained_baseline_is_the_network_before_its_first_step(run: nearkin.Run) -> None:
    before = build_model(run.model.blueprint, run.registries)
    assert before.digest() != run.model.digest()
    assert before.digest() == build_model(run.model.blueprint, run.registries).digest()


def test_what_trained_and_what_chose_the_weights_is_known_to_the_model_and_is_no_test_image(run: nearkin.Run) -> None:
    source, dataset = load_data(run.recipe.data, run.recipe.seed)
    digests = {split: {source.load(item).digest for item in items} for split, items in dataset.items.items()}
    assert run.model.trained_on == digests["train"] | digests["select"]
    assert not run.model.trained_on & (digests["test"] | digests["calibrate"])
    assert {item.label for item in dataset.items["test"]} == {"0", "1", "2", "7"}
    assert all(item.label != "7" for split in ("train", "select", "calibrate") for item in dataset.items[split])


def test_a_recipe_without_evaluators_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="names no evaluators"):
        nearkin.evaluate(trained(tmp_path, "evaluate=[]", "train.steps=1"), watch=Watch())


def test_a_run_without_test_images_is_told_so(tmp_path: Path) -> None:
    for label in "ab":
        (tmp_path / "images" / label).mkdir(parents=True)
        for number in range(6):
            pixels = np.random.default_rng([ord(label), number]).integers(0, 255, (8, 8)).astype(np.uint8)
            from PIL import Image

            Image.fromarray(pixels).save(tmp_path / "images" / label / f"{number}.png")
    data = f"data={{source: folder, path: {tmp_path}/images, shots: 4, select: 2, calibrate: 0}}"
    with pytest.raises(DataError, match="no images are left to test on"):
        nearkin.evaluate(trained(tmp_path, data, "train.steps=1"), watch=Watch())


def test_a_run_without_select_or_calibrate_trains_evaluates_and_answers(tmp_path: Path) -> None:
    run = trained(tmp_path, "data.select=0", "data.calibrate=0", "train.steps=2")
    assert figures(run)["clusters"]["model"][0]["value"] is not None
    answer = run.index.query(run.index.references.vectors[0])
    assert answer.status is None
    assert "uncalibrated" in answer.reason


def test_one_evaluator_may_be_asked_for_twice(tmp_path: Path) -> None:
    twice = "evaluate=[{type: clusters, resamples: 20}, {type: clusters, resamples: 30}]"
    run = trained(tmp_path, twice, "train.steps=1")
    assert set(figures(run)) == {"clusters#0", "clusters#1"}
    (listed,) = list_runs(tmp_path / "runs")
    assert {"clusters#0/cluster_accuracy", "clusters#1/cluster_accuracy"} <= set(listed["figures"])
    assert "cluster_accuracy" not in listed["figures"], "which of the two it is must be said"


def test_a_space_of_its_own_goes_from_the_recipe_to_every_answer_and_figure(tmp_path: Path) -> None:
    features = "{type: features, stages: [1, 2], weights: initial}"
    space = f"unknown.space={{type: joined, spaces: [{{type: embedding}}, {features}]}}"
    run = trained(tmp_path, space, "evaluate=[{type: open_set, resamples: 20}]")
    views = figures(run)["open_set"]
    auroc = {name: figure["value"] for name in ("model", "pixels", "untrained") for figure in views[name][:1]}

    source, dataset = load_data(run.recipe.data, run.recipe.seed)
    test = dataset.items["test"]
    images = [source.load(item).pixels for item in test]
    answers = run.index.query(images)
    unknown = np.array([item.label == "7" for item in test])
    scores = np.array([answer.score for answer in answers])
    assert auroc["model"] == pytest.approx(np.mean(scores[unknown][:, None] > scores[~unknown]), abs=1e-6)

    # By hand: standardised on the references, each part counting alike, to the nearest reference.
    held, given = run.index.references, run.model.embed(images)
    assert held.space is not None
    assert given.space is not None
    raw, width = np.asarray(held.space, dtype=np.float64), run.model.embedding_dim
    scale = raw.std(axis=0) * np.sqrt([width] * width + [16] * 16)
    scale[raw.std(axis=0) < 1e-12] = 1
    apart = np.linalg.norm((given.space[:, None] - raw[None]) / scale, axis=2)
    np.testing.assert_allclose(scores, apart.min(axis=1), rtol=1e-3)
    assert explain(run, images[0]).of == f"why {answers[0].label!r} is nearer than any other cluster"

    run.index.save(tmp_path / "elsewhere")
    (tmp_path / "runs").rename(tmp_path / "gone")
    opened = nearkin.load_index(tmp_path / "elsewhere")
    assert [answer.score for answer in opened.query(images)] == scores.tolist()


def test_a_space_of_its_own_does_not_go_with_references_that_calibrate_each_other(tmp_path: Path) -> None:
    way = "unknown={way: leave_one_group_out, space: {type: features, stages: [1]}}"
    with pytest.raises(nearkin.NearkinError, match="is not exact in a space that is standardised"):
        trained(tmp_path, way)


def test_a_run_that_cannot_take_its_figures_is_told_before_they_are_measured(
    run: nearkin.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "1"
    shutil.copytree(run.path, copy, ignore=shutil.ignore_patterns("evaluations"))
    (copy / "evaluations").write_text("in the way")
    monkeypatch.setattr(measure, "_measured", lambda *_: pytest.fail("it was measured"))
    with pytest.raises(WorkFailed, match="evaluations: could not be saved"):
        nearkin.evaluate(copy, watch=Watch())


def test_asking_whether_a_folder_can_be_written_leaves_nothing_there(tmp_path: Path) -> None:
    require_writable(tmp_path)
    require_writable(tmp_path / "new")
    assert not list(tmp_path.iterdir())
    with pytest.raises(WorkFailed, match="could not be saved: No such file"):
        require_writable(tmp_path / "not" / "there")


@pytest.mark.parametrize(
    ("refusal", "mend"),
    [
        (errno.EACCES, "Choose a place that you may write to"),
        (errno.EROFS, "Choose a place that you may write to"),
        (errno.ENOTDIR, "A file stands where a folder is wanted"),
        (errno.ENOSPC, "Make room, or mend the disk"),
    ],
)
def test_what_the_system_refuses_is_said_with_its_mend(
    refusal: int, mend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(**_: Any) -> Any:
        raise OSError(refusal, os.strerror(refusal))

    monkeypatch.setattr("tempfile.TemporaryFile", refused)
    with pytest.raises(WorkFailed, match=rf"could not be saved: {os.strerror(refusal)}\. .*{mend}"):
        require_writable(tmp_path)
