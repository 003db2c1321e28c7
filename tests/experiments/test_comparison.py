"""Runs side by side: the same questions for all, differences only where they mean something."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nearkin
from nearkin.cli import run as command
from nearkin.errors import UsageError
from nearkin.experiments.comparison import Contestant, every_evaluator, on_the_same_questions
from nearkin.training.watch import Watch

RECIPE = """\
name: tiny
data: {source: digits, known: ["0", "1", "2"], unknown: ["7"], shots: 4, select: 4, calibrate: 10, test: 12}
backbone: {type: conv2, image_size: 16, width: 8}
method: {type: embedding}
loss: {type: contrastive}
sampler: {type: balanced_pairs, pairs: 8}
train: {steps: 4}
evaluate: [{type: n_way_exam, n_way: 5, questions: 50, resamples: 20}, {type: clusters, resamples: 20}]
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, nearkin.Run]:
    """A run, one of another width, one of another draw, one of other classes."""
    folder = tmp_path_factory.mktemp("compare")
    (folder / "tiny.yaml").write_text(RECIPE)

    def trained(*overrides: str) -> nearkin.Run:
        return nearkin.train(folder / "tiny.yaml", overrides=overrides, runs=folder / "runs", watch=Watch())

    return {
        "first": trained(),
        "wider": trained("backbone.width=12", "evaluate=[{type: retrieval, resamples: 20}]"),
        "other_draw": trained("seed=5"),
        "other_classes": trained('data.known=["0", "1", "3"]'),
    }


def compared(*runs: nearkin.Run, **given: Any) -> dict[str, Any]:
    return nearkin.compare(runs, watch=Watch(), **given)


def test_every_run_is_asked_what_any_recipe_asks_and_baselines_stand_beside(runs: dict[str, nearkin.Run]) -> None:
    result = compared(runs["first"], runs["wider"])
    assert list(result["figures"]) == ["n_way_exam", "clusters", "retrieval"]
    for by_name in result["figures"].values():
        for rows in by_name.values():
            assert [row["run"] for row in rows] == [str(runs["first"].path), str(runs["wider"].path)]
            assert rows[0]["minus_first"] is None
            assert rows[1]["minus_first"]["value"] == pytest.approx(
                rows[1]["model"]["value"] - rows[0]["model"]["value"]
            )
            assert rows[0]["pixels"] == rows[1]["pixels"], "the same questions about the same pixels"
            assert rows[0]["untrained"]["value"] is not None
    assert json.loads(json.dumps(result)) == result


def test_the_first_runs_figures_are_those_of_its_own_evaluation(runs: dict[str, nearkin.Run]) -> None:
    alone = nearkin.evaluate(runs["first"], watch=Watch())["figures"]
    beside = compared(runs["first"], runs["wider"])["figures"]
    for evaluator, by_view in alone.items():
        for figure in by_view["model"]:
            assert beside[evaluator][figure["name"]][0]["model"] == figure


def test_another_seed_asks_other_questions(runs: dict[str, nearkin.Run]) -> None:
    one, other = (compared(runs["first"], runs["wider"], seed=seed)["figures"]["n_way_exam"] for seed in (0, 9))
    assert one != other


def test_runs_of_another_draw_or_other_classes_are_not_subtracted_and_it_says_why(runs: dict[str, nearkin.Run]) -> None:
    result = compared(runs["first"], runs["other_draw"], runs["other_classes"])
    _, draw, classes = result["runs"]
    assert not draw["comparable"]
    assert "another draw. Train both with one data.seed" in draw["why_not"]
    assert "its known classes are others: 2, 3" in classes["why_not"]
    rows = result["figures"]["clusters"]["cluster_accuracy"]
    assert [row["minus_first"] for row in rows] == [None, None, None]
    assert len(result["figures"]["clusters"]["recall_2"]) == 2, "the run that knows no 2 has no recall of it"


def test_the_same_model_twice_differs_by_nothing_and_it_says_so(runs: dict[str, nearkin.Run], tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(RECIPE)
    again = nearkin.train(tmp_path / "tiny.yaml", runs=tmp_path / "runs", watch=Watch())
    result = compared(runs["first"], again)
    assert result["runs"][1]["notes"] == ["its model is the first's, to the bit"]
    for by_name in result["figures"].values():
        for rows in by_name.values():
            assert rows[1]["minus_first"]["value"] == 0
            assert rows[1]["minus_first"]["low"] < 0, "few images allow for some difference"


def test_what_one_of_them_has_seen_is_asked_of_none(runs: dict[str, nearkin.Run]) -> None:
    first, wider = (Contestant.of(runs[name], 0, Watch()) for name in ("first", "wider"))
    leaked = wider.views[0].digests[0]
    views = tuple(replace(view, seen_digests=view.seen_digests | {leaked}) for view in wider.views)
    asked = on_the_same_questions([first, replace(wider, views=views)])
    assert all(leaked in view.seen_digests for one in asked for view in one.views)


def test_the_order_of_classes_in_the_recipe_changes_no_question(runs: dict[str, nearkin.Run]) -> None:
    first = Contestant.of(runs["first"], 0, Watch())
    turned = tuple(replace(view, classes=view.classes[::-1]) for view in first.views)
    _, other = on_the_same_questions([first, replace(first, views=turned)])
    chosen = every_evaluator([first.run])
    assert first.measure(chosen, 0, Watch()) == other.measure(chosen, 0, Watch())


def test_test_images_that_carry_other_labels_are_not_compared(runs: dict[str, nearkin.Run]) -> None:
    first = Contestant.of(runs["first"], 0, Watch())
    labels = tuple(np.roll(first.views[0].labels, 5).tolist())
    views = tuple(replace(view, labels=labels) for view in first.views)
    assert "other labels" in on_the_same_questions([first, replace(first, views=views)])[1].why_not
    elsewhere = tuple(f"elsewhere-{digest}" for digest in first.views[0].digests)
    views = tuple(replace(view, digests=elsewhere) for view in first.views)
    assert "other data" in on_the_same_questions([first, replace(first, views=views)])[1].why_not


def test_one_run_or_one_run_twice_is_refused(runs: dict[str, nearkin.Run]) -> None:
    with pytest.raises(UsageError, match="two runs or more"):
        compared(runs["first"])
    with pytest.raises(UsageError, match="named twice"):
        compared(runs["first"], nearkin.load_run(runs["first"].path))


def test_the_command_prints_one_table_and_json(
    runs: dict[str, nearkin.Run], capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [str(runs[name].path) for name in ("first", "wider", "other_draw")]
    assert command(["compare", *paths]) == 0
    printed = capsys.readouterr().out
    assert "minus the first" in printed
    assert "exam_5_way" in printed
    assert next(line for line in printed.splitlines() if "cluster_accuracy" in line).endswith(" 36 images")
    assert f"{paths[2]}: not subtracted: it was tested on 48 images" in printed
    assert command(["compare", *paths, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["runs"][1]["comparable"] is True
    assert command(["compare", paths[0]]) == 2
    assert command(["compare", paths[0], paths[1], "--seed", "-1"]) == 2


def test_runs_whose_folder_cannot_be_written_are_compared_all_the_same(
    runs: dict[str, nearkin.Run], tmp_path: Path
) -> None:
    wanted, copies = compared(runs["first"], runs["wider"]), []
    for name in ("first", "wider"):
        copies.append(tmp_path / name)
        shutil.copytree(runs[name].path, copies[-1], ignore=shutil.ignore_patterns("embeddings"))
        (copies[-1] / "embeddings").write_text("in the way")
    said: list[str] = []
    result = nearkin.compare(copies, watch=Watch(message=said.append))
    figure = {name: rows[0]["model"] for name, rows in wanted["figures"]["clusters"].items()}
    assert {name: rows[0]["model"] for name, rows in result["figures"]["clusters"].items()} == figure
    unkept = [line for line in said if "embeddings are not kept for next time" in line]
    assert len(unkept) == 2, "once a run"
