"""A run trained again is the same to the bit on this machine; where it is not, it says where and what else differs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import nearkin
from nearkin.cli import run as command
from nearkin.errors import DamagedError, UsageError
from nearkin.experiments.reproduction import apart, reproduce
from nearkin.files import read_bundle, save_bundle
from nearkin.run import FORMAT, VERSION
from nearkin.training.watch import Watch

RECIPE = """\
name: tiny
data: {source: digits, known: ["0", "1", "2"], shots: 3, select: 2, calibrate: 9, test: 12}
backbone: {type: conv2, image_size: 16, width: 4}
method: {type: embedding}
loss: {type: contrastive}
sampler: {type: balanced_pairs, pairs: 6}
train: {steps: 5, augment: {degrees: 10}}
evaluate: [{type: clusters, resamples: 20}]
"""


@pytest.fixture
def run(tmp_path: Path) -> nearkin.Run:
    (tmp_path / "tiny.yaml").write_text(RECIPE)
    made = nearkin.train(tmp_path / "tiny.yaml", runs=tmp_path / "runs", watch=Watch())
    nearkin.evaluate(made, watch=Watch())
    return made


def with_other_facts(run: nearkin.Run, **facts: object) -> None:
    """Rewrite what the manifest says of a run."""
    bundle = read_bundle(run.path, format_name=FORMAT, version=VERSION)
    meta = {**bundle.meta, **facts}
    save_bundle(run.path, bundle.files, meta, format_name=FORMAT, version=VERSION, fixed_names=True)


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


def test_other_weights_metrics_and_figures_are_told_with_their_place_and_end_in_1(
    run: nearkin.Run, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = read_bundle(run.path, format_name=FORMAT, version=VERSION)
    metrics = bytes(bundle.files["metrics.jsonl"]).decode().splitlines()
    lines = [json.loads(line) for line in metrics]
    lines[2]["loss"] += 0.25
    changed = "".join(json.dumps(line) + "\n" for line in lines).encode()
    meta = {**bundle.meta, "versions": {**bundle.meta["versions"], "torch": "1.0"}}
    files = {**bundle.files, "metrics.jsonl": changed}
    save_bundle(run.path, files, meta, format_name=FORMAT, version=VERSION, fixed_names=True)
    assert command(["reproduce", str(run.path)]) == 1
    captured = capsys.readouterr()
    assert "line 3, loss" in captured.out
    assert "versions differ" in captured.out
    assert "not reproduced within 0" in captured.err
    assert command(["reproduce", str(run.path), "--tolerance", "0.3"]) == 0


def test_other_images_are_refused_before_anything_is_trained(run: nearkin.Run) -> None:
    with_other_facts(run, data="another fingerprint")
    with pytest.raises(DamagedError, match="changed since this run was trained"):
        reproduce(run.path, watch=Watch())
    assert [path.name for path in run.path.parent.iterdir()] == ["1"]


@pytest.mark.parametrize("tolerance", [-1.0, float("nan"), float("inf")])
def test_a_tolerance_that_cannot_be_meant_is_refused(run: nearkin.Run, tolerance: float) -> None:
    with pytest.raises(UsageError, match="0 or more"):
        reproduce(run, tolerance=tolerance)


def test_what_has_no_counterpart_is_not_reproduced_at_any_tolerance() -> None:
    assert apart({"a": 1.0}, {"a": 1.0, "b": 2.0}) == apart({"a": 1.0, "b": 2.0}, {"a": 1.0})
    assert not apart({"a": 1.0}, {"b": 1.0}).within(1e9)
    assert not apart({"a": np.zeros(2)}, {"a": np.zeros(3)}).within(1e9)
    assert not apart({"a": None}, {"a": 0.5}).within(1e9)
    assert apart({"a": None, "b": "text"}, {"a": None, "b": "text"}).within(0)
    far = apart({"a": np.array([1.0, 2.0]), "b": 1.0}, {"a": np.array([1.0, 2.5]), "b": 1.25})
    assert (far.largest, far.where, far.compared) == (0.5, "a", 3)
