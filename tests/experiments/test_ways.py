"""The ways of calibrating, from the recipe to the answer."""

from __future__ import annotations

from pathlib import Path

import pytest

import nearkin
from nearkin.errors import RecipeError
from nearkin.plugins import load_registries
from nearkin.recipe import parse_recipe
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
    ],
)
def test_a_way_that_does_not_go_with_the_rest_is_told_at_its_place(section: str, problem: str) -> None:
    text = RECIPE.replace("{way: leave_one_group_out}", section)
    text = text.replace("calibrate: 9", "calibrate: 0") if "data.calibrate" in problem else text
    with pytest.raises(RecipeError, match=rf"r.yaml:8:16 unknown.way: .*{problem}"):
        parse_recipe(text, load_registries(), name="r.yaml")


def test_leave_one_group_out_makes_references_of_the_calibration_images_too(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(RECIPE)
    run = nearkin.train(tmp_path / "tiny.yaml", runs=tmp_path / "runs", watch=Watch())
    promise = run.index.promise
    assert (promise.way, promise.groups, promise.uncalibrated) == ("leave_one_group_out", {"0": 9, "1": 9}, {})
    assert (len(run.index), run.index.references.trained.sum()) == (26, 8)
