"""The ways of calibrating, from the recipe to the answer."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

import nearkin
from nearkin.cli.index_look import tell
from nearkin.errors import DamagedError, IndexCallError, RecipeError, WorkFailed
from nearkin.explaining import explain
from nearkin.index.distances import distances
from nearkin.plugins import load_registries
from nearkin.recipe import parse_recipe
from nearkin.report.images import Shown
from nearkin.training.watch import Watch

RECIPE = """\
name: tiny
data: {source: digits, known: ["0", "1"], shots: 4, select: 2, calibrate: 9, test: 12}
backbone: {type: conv2, image_size: 16, width: 4}
method: {type: embedding}
loss: {type: contrastive}
sampler: {type: balanced_pairs, pairs: 6}
train: {steps: 2}
unknown: {way: leave_one_group_out}
evaluate: [{type: open_set, resamples: 20}]
"""


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ("{way: leave_one_group_out, score: {type: lof}}", "exact for the score knn; of lof it is unproven"),
        ("{way: leave_one_group_out}\nindex: {engine: {type: ivf}}", "needs an exact engine, and ivf is none"),
        ("{way: leave_one_group_out}\n#", "needs data.calibrate"),
        ("{way: cross_conformal}", "calibrates on the training images.*Set data.calibrate: 0"),
        ("{folds: 3}", "is for way: cross_conformal"),
    ],
)
def test_a_way_that_does_not_go_with_the_rest_is_told_at_its_place(section: str, problem: str) -> None:
    text = RECIPE.replace("{way: leave_one_group_out}", section)
    text = text.replace("calibrate: 9", "calibrate: 0") if "needs data" in problem else text
    with pytest.raises(RecipeError, match=rf"r.yaml:8:1[16] unknown.(way|folds): .*{problem}"):
        parse_recipe(text, load_registries(), name="r.yaml")


def test_leave_one_group_out_makes_references_of_the_calibration_images_too(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(RECIPE)
    run = nearkin.train(tmp_path / "tiny.yaml", runs=tmp_path / "runs", watch=Watch())
    promise = run.index.promise
    assert (promise.way, promise.groups, promise.uncalibrated) == ("leave_one_group_out", {"0": 9, "1": 9}, {})
    assert (len(run.index), run.index.references.trained.sum()) == (26, 8)


CROSS = RECIPE.replace("shots: 4", "shots: 10").replace("calibrate: 9", "calibrate: 0").replace(
    "leave_one_group_out", "cross_conformal, folds: 2"
)  # fmt: skip


@pytest.fixture(scope="module")
def cross(tmp_path_factory: pytest.TempPathFactory) -> nearkin.Run:
    folder = tmp_path_factory.mktemp("cross")
    (folder / "tiny.yaml").write_text(CROSS)
    return nearkin.train(folder / "tiny.yaml", runs=folder / "runs", watch=Watch())


def images_of_digits(n: int) -> list[np.ndarray]:
    return [(image / 16 * 255).astype(np.uint8) for image in load_digits().images[-n:]]


def ranks(run: nearkin.Run, images: list[np.ndarray], label: str) -> tuple[np.ndarray, int]:
    """How many items of its fold are as strange as each image by one fold's model; and how many there are."""
    index = run.index
    own, held = index.references.labels.among([label]), np.array(index._state.calibration.labels) == label
    apart = distances(run.embed(images), index.references.vectors[own], index.metric).min(axis=1)
    items = distances(index._state.calibration.vectors[held], index.references.vectors[own], index.metric).min(axis=1)
    return (items >= apart[:, None]).sum(axis=1), int(held.sum())


def test_a_cross_conformal_p_value_adds_up_the_ranks_that_each_model_gives_in_its_own_fold(cross: nearkin.Run) -> None:
    images = images_of_digits(6)
    answers = cross.index.query(images)
    for label in ("0", "1"):
        found = [ranks(fold, images, label) for fold in cross.folds]
        expected = (1 + sum(rank for rank, _ in found)) / (1 + sum(n for _, n in found))
        assert [answer.p_values[label] for answer in answers] == pytest.approx(expected)
    near = [a.neighbors[0].id for a in answers]
    apart = distances(cross.embed(images), cross.index.references.vectors, cross.index.metric)
    assert near == cross.index.references.ids[apart.argmin(axis=1)].tolist()


def test_cross_conformal_says_what_stands_behind_it(cross: nearkin.Run) -> None:
    promise = cross.index.promise
    assert (promise.way, promise.folds, promise.groups) == ("cross_conformal", 2, {"0": 10, "1": 10})
    # Barber et al. 2021, theorem 4: the smaller of 2 (1 - 1/2) / (10/2 + 1) and (1 - 2/10) / (2 + 1).
    assert promise.worst == pytest.approx(2 * 0.1 + 1 / 6)
    assert "about 0.1, and at most 0.367 in the worst case" in str(promise)
    assert "cross-conformal over 2 folds, so at worst 2 alpha and a small-sample term" in str(promise)


def test_no_model_calibrates_on_what_it_has_seen_and_no_group_is_in_two_folds(cross: nearkin.Run) -> None:
    held = [set(fold.index._state.calibration.digests) for fold in cross.folds]
    assert [len(digests) for digests in held] == [10, 10]
    assert not held[0] & held[1]
    assert all(not digests & fold.model.trained_on for digests, fold in zip(held, cross.folds, strict=True))
    assert held[0] | held[1] <= cross.model.trained_on


def test_an_embedding_alone_is_refused_with_the_reason_and_those_of_all_models_are_taken(cross: nearkin.Run) -> None:
    images = images_of_digits(3)
    with pytest.raises(IndexCallError, match=r"each of its 2 fold models has to see the image itself.*embed_each"):
        cross.index.query(cross.embed(images))
    assert cross.index.query(cross.embed_each(images)) == cross.index.query(images)
    assert len(cross.index.range(cross.embed(images), 1e9)) == 3
    both = cross.embed_each(images)
    assert np.array_equal(both.vectors, cross.embed(images))


def test_a_cross_conformal_run_and_its_index_open_on_another_machine(cross: nearkin.Run, tmp_path: Path) -> None:
    images = images_of_digits(3)
    answers = cross.index.query(images)
    shutil.copytree(cross.path, tmp_path / "elsewhere" / "1")
    assert nearkin.load_run(tmp_path / "elsewhere" / "1").index.query(images) == answers
    cross.index.save(tmp_path / "alone.index")
    alone = nearkin.load_index(tmp_path / "alone.index")
    assert alone.query(images) == answers
    assert all(not check.problem for check in alone.verify())
    weights = tmp_path / "elsewhere" / "1" / "folds" / "2" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(DamagedError, match=r"folds.2.model.safetensors: changed since"):
        _ = nearkin.load_run(tmp_path / "elsewhere" / "1").index
    shutil.rmtree(weights.parent)
    with pytest.raises(DamagedError, match=r"folds.2: missing; it calibrates this run"):
        _ = nearkin.load_run(tmp_path / "elsewhere" / "1").index


def test_what_a_cross_conformal_run_looks_at_can_be_shown(cross: nearkin.Run) -> None:
    """Its index takes no embedding of one model alone: maps and the report ask with those of all."""
    shown = Shown.of(cross, Watch())
    row = int(str(shown.dataset.items["test"][0].place))
    image = (load_digits().images[row] / 16 * 255).round().astype(np.uint8)
    answer = cross.index.query(image)
    assert shown.answers[0].p_values == answer.p_values
    assert explain(cross, image).of == f"why {answer.label!r} is nearer than any other cluster"


def test_references_that_come_later_make_a_class_stale_and_only_a_training_mends_it(
    cross: nearkin.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cross.index.save(tmp_path / "alone.index")
    index = nearkin.load_index(tmp_path / "alone.index")
    assert index.recalibrate(alpha=0.2).alpha == 0.2
    index.add(images_of_digits(1), ["1"])
    assert index.promise.uncalibrated == {
        "1": "stale: references of this class changed since calibration, or what may calibrate did"
    }
    with pytest.raises(IndexCallError, match="'1': references changed since the folds' models were trained"):
        index.recalibrate()
    tell(index, "added", as_json=False)
    assert "to be calibrated again: '1'. Its folds' models stand on the references" in capsys.readouterr().err
    index.relabel("zero", labels="0")
    assert index.promise.uncalibrated["zero"].startswith("stale")
    with pytest.raises(IndexCallError, match=r"merge: a cross-conformal calibration does not go along"):
        index.merge(index.blank())


def test_fold_scores_against_one_final_model_are_not_offered(cross: nearkin.Run) -> None:
    """Its folds' items trained it: an index of the final model refuses them, and folds need an index each."""
    held = cross.folds[0].index._state.calibration
    index = cross.index.blank()
    index.add(cross.index.references.vectors, list(cross.index.references.labels), trained=True)
    with pytest.raises(IndexCallError, match="trained the model"):
        index.calibrate(held.vectors, held.labels, digests=held.digests)
    with pytest.raises(IndexCallError, match="fold 1 is not calibrated on held-out images"):
        cross.index.calibrate_across([index, cross.folds[0].index])
    with pytest.raises(IndexCallError, match=r"that stand in several folds"):
        cross.index.calibrate_across([cross.folds[0].index, cross.folds[0].index])


def test_a_cross_conformal_run_is_evaluated_beside_its_baselines(cross: nearkin.Run) -> None:
    figures = nearkin.evaluate(cross, watch=Watch())["figures"]["open_set"]
    for view in ("model", "pixels", "untrained"):
        (own,) = (figure for figure in figures[view] if figure["name"] == "own_p_0")
        assert 0 <= own["value"] <= 1
    details = own["details"]
    assert (details["expected"], details["exact"]) == (cross.index.promise.worst, False)
    assert not {"low", "high", "inside"} & {*details}


def test_a_killed_training_goes_on_with_the_folds_that_are_missing(cross: nearkin.Run, tmp_path: Path) -> None:
    def killed(text: str) -> None:
        if "fold 2" in text:
            raise RuntimeError("killed")

    (tmp_path / "tiny.yaml").write_text(CROSS)
    with pytest.raises(RuntimeError, match="killed"):
        nearkin.train(tmp_path / "tiny.yaml", runs=tmp_path, watch=Watch(message=killed))
    with pytest.raises(WorkFailed, match="not finished"):
        nearkin.load_run(tmp_path / "tiny" / "1")
    (tmp_path / "tiny" / "1" / "folds" / "2").mkdir()
    run = nearkin.resume(tmp_path / "tiny" / "1", watch=Watch())
    assert run.index.query(images_of_digits(4)) == cross.index.query(images_of_digits(4))


@pytest.mark.soak
def test_networks_trained_anew_for_every_fold_keep_the_cross_conformal_promise(
    tmp_path: Path, count: Callable[[str, int, int], int], soaked: Callable[[str], None]
) -> None:
    draws, images, alpha = count("draws with networks trained anew for every fold", 1, 200), 60, 0.10
    recipe = CROSS.replace("folds: 2", "folds: 3").replace("steps: 2", "steps: 20").replace("test: 12", "test: 30")
    (tmp_path / "tiny.yaml").write_text(recipe)
    found: dict[str, list[float]] = {"0": [], "1": []}
    for draw in range(draws):
        run = nearkin.train(tmp_path / "tiny.yaml", overrides={"seed": draw}, runs=tmp_path / "runs", watch=Watch())
        figures = nearkin.evaluate(run, watch=Watch())["figures"]["open_set"]["model"]
        for label, shares in found.items():
            shares += [figure["value"] for figure in figures if figure["name"] == f"own_p_{label}"]
        worst = run.index.promise.worst
        shutil.rmtree(run.path)
    assert worst is not None
    spread = (worst * (1 - worst) * (1 / 12 + 2 / images) / draws) ** 0.5
    means = {label: float(np.mean(shares)) for label, shares in found.items()}
    assert max(means.values()) < worst + 4 * spread
    if draws == 200:
        assert min(means.values()) > 0
    shares_said = " and ".join(f"{mean:.3f}" for mean in means.values())
    soaked(f"{draws} draws of 4 networks: {shares_said} of a class flagged at alpha {alpha}, at worst {worst:.3f}")


def test_folds_score_in_the_recipes_own_space(tmp_path: Path) -> None:
    space = "{type: features, stages: [1, 2], weights: trained}"
    text = CROSS.replace("folds: 2}", f"folds: 2, space: {space}}}")
    (tmp_path / "tiny.yaml").write_text(text)
    run = nearkin.train(tmp_path / "tiny.yaml", runs=tmp_path / "runs", watch=Watch())
    assert [fold.index.settings.space for fold in run.folds] == [run.index.settings.space] * 2
    assert run.index.settings.space is not None
    images = images_of_digits(5)
    answers = run.index.query(images)
    np.testing.assert_allclose([a.score for a in run.index.query(run.embed_each(images))], [a.score for a in answers])
    assert run.index.promise.way == "cross_conformal"
    figures = nearkin.evaluate(run, watch=Watch())["figures"]["open_set"]
    assert {"model", "pixels", "untrained"} <= set(figures)
