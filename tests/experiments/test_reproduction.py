"""A run trained again is the same to the bit on this machine; where it is not, it says where and what else differs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import nearkin
from nearkin.cli import run as command
from nearkin.errors import DamagedError, UsageError
from nearkin.experiments.reproduction import apart, beside, differing, reproduce
from nearkin.files import read_bundle, save_bundle
from nearkin.run import FORMAT, VERSION
from nearkin.training.watch import Watch
from tests.experiments.tiny import TINY

RECIPE = TINY.replace("steps: 3", "steps: 3, augment: {degrees: 10}")
SEVERAL = """\
name: several
data: {source: digits, known: ["0", "1"], shots: 6, select: 0, calibrate: 0, test: 6}
backbone: [{type: conv2, image_size: 16, width: 2}, {type: conv2, image_size: 16, width: 4}]
method: {type: embedding}
loss: {type: arcface}
sampler: {type: m_per_class, classes: 2, m: 3}
train: {steps: 2}
unknown: {way: cross_conformal, folds: 2}
"""
WARM = RECIPE.replace("name: tiny", "name: warm").replace("type: conv2, image_size: 16, width: 4", "init_from: BASE")


def trained(text: str, folder: Path) -> nearkin.Run:
    (folder / "recipe.yaml").write_text(text)
    return nearkin.train(folder / "recipe.yaml", runs=folder / "runs", watch=Watch())


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> nearkin.Run:
    made = trained(RECIPE, tmp_path_factory.mktemp("made"))
    nearkin.evaluate(made, watch=Watch())
    return made


@pytest.fixture
def run(evaluated: nearkin.Run, tmp_path: Path) -> nearkin.Run:
    """A copy of its own for each test."""
    return nearkin.load_run(shutil.copytree(evaluated.path, tmp_path / "runs" / "tiny" / "1"))


def rewrite(run: nearkin.Run, *, metrics: bytes | None = None, **facts: object) -> None:
    """What the manifest says of a run, and what happened while it was trained, written anew."""
    bundle = read_bundle(run.path, format_name=FORMAT, version=VERSION)
    files = {**bundle.files, "metrics.jsonl": bundle.files["metrics.jsonl"] if metrics is None else metrics}
    save_bundle(run.path, files, {**bundle.meta, **facts}, format_name=FORMAT, version=VERSION, fixed_names=True)


def test_on_the_same_machine_and_versions_nothing_differs(run: nearkin.Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["reproduce", str(run.path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["reproduced"], found["tolerance"], found["differs"]) == (True, 0, {})
    for part in ("weights", "metrics", "figures"):
        assert found["parts"][part]["largest"] == 0
        assert found["parts"][part]["compared"] > 10
    again = nearkin.load_run(found["again"])
    assert again.path.parent == run.path.parent, "a normal run, beside the old one"
    assert again.model.digest() == run.model.digest()


def test_every_weight_of_every_model_is_compared_and_figures_only_where_there_are_any(tmp_path: Path) -> None:
    """Backbones side by side, the folds of a cross-conformal calibration, a loss with weights of its own."""
    made = trained(SEVERAL, tmp_path)
    found = reproduce(made, watch=Watch())
    models = (made, *made.folds)
    weights = sum(tensor.numel() for one in models for tensor in one.model.state_dict().values())
    assert (found["reproduced"], found["parts"]["weights"]["compared"]) == (True, weights)
    assert found["parts"]["metrics"]["compared"] == sum(len(line) for one in models for line in one.metrics)
    assert "figures" not in found["parts"]
    with pytest.raises(UsageError, match="a fold of another run"):
        reproduce(made.folds[0], watch=Watch())


def test_other_metrics_are_told_with_their_place_and_end_in_1(
    run: nearkin.Run, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [json.loads(json.dumps(line)) for line in run.metrics]
    lines[2]["loss"] += 0.25
    changed = "".join(json.dumps(line) + "\n" for line in lines).encode()
    rewrite(run, metrics=changed, versions={**run.facts["versions"], "torch": "1.0"}, threads=64)
    assert command(["reproduce", str(run.path)]) == 1
    captured = capsys.readouterr()
    assert "line 3, loss" in captured.out
    assert "versions differ: was {'torch': '1.0'}, now" in captured.out
    assert "threads differ: was 64, now" in captured.out
    assert "not reproduced within 0" in captured.err
    assert beside(nearkin.load_run(run.path), nearkin.load_run(run.path.parent / "2"), 0.3)["reproduced"]


def test_what_was_other_for_a_part_of_the_training_is_told(run: nearkin.Run) -> None:
    was = {**run.facts, "resumed": [{"threads": 64}]}
    assert differing(was, run.facts) == {"resumed": {"was": [{"threads": 64}], "now": []}}


def test_a_run_that_was_copied_elsewhere_is_reproduced_there(evaluated: nearkin.Run, tmp_path: Path) -> None:
    copy = nearkin.load_run(shutil.copytree(evaluated.path, tmp_path / "pulled"))
    found = reproduce(copy, watch=Watch())
    assert found["reproduced"]
    assert found["again"] == str(tmp_path / "tiny" / "1")


def test_a_base_that_is_another_now_is_told_and_one_that_is_gone_is_an_error(run: nearkin.Run, tmp_path: Path) -> None:
    warm = trained(WARM.replace("BASE", str(run.path)), tmp_path)
    rewrite(warm, ancestors={str(run.path): "another hash"})
    found = reproduce(warm.path, watch=Watch())
    assert [*found["differs"]] == ["ancestors"]
    with pytest.raises(DamagedError, match="has other weights now than when this run began with it"):
        nearkin.evaluate(warm.path, watch=Watch())  # the untrained baseline would be another network's
    shutil.rmtree(run.path)
    with pytest.raises(UsageError, match=r"backbone.init_from: there is no run .*1'.*Put it back"):
        reproduce(warm.path, watch=Watch())
    assert sorted(path.name for path in warm.path.parent.iterdir()) == ["1", "2"]


def test_other_images_are_refused_before_anything_is_trained(run: nearkin.Run) -> None:
    rewrite(run, data="another fingerprint")
    with pytest.raises(DamagedError, match="changed since this run was trained"):
        reproduce(run.path, watch=Watch())
    assert [path.name for path in run.path.parent.iterdir()] == ["1"]


@pytest.mark.parametrize("tolerance", [-1.0, float("nan"), float("inf")])
def test_a_tolerance_that_cannot_be_meant_is_refused(evaluated: nearkin.Run, tolerance: float) -> None:
    with pytest.raises(UsageError, match="0 or more"):
        reproduce(evaluated, tolerance=tolerance)


def test_what_has_no_counterpart_is_not_reproduced_at_any_tolerance() -> None:
    assert apart({"a": 1.0}, {"a": 1.0, "b": 2.0}) == apart({"a": 1.0, "b": 2.0}, {"a": 1.0})
    assert not apart({"a": 1.0}, {"b": 1.0}).within(1e9)
    assert not apart({"a": np.zeros(2)}, {"a": np.zeros(3)}).within(1e9)
    assert not apart({"a": None}, {"a": 0.5}).within(1e9)
    assert not apart({"a": np.array([0.0, np.nan])}, {"a": np.zeros(2)}).within(1e9)
    assert apart({"a": None, "b": "text"}, {"a": None, "b": "text"}).within(0)
    far = apart({"a": np.array([1.0, 2.0]), "b": 1.0}, {"a": np.array([1.0, 2.5]), "b": 1.25})
    assert (far.largest, far.where, far.compared) == (0.5, "a", 3)
