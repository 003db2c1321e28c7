"""An exported graph gives the run's own embeddings, at any batch size, without nearkin."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

import nearkin
from nearkin.cli.work import export
from nearkin.errors import PluginError, UsageError, WorkFailed
from nearkin.export import export_onnx, export_torch, graphs
from nearkin.recipe.model import EmbedOptions
from nearkin.recipe.train_options import WarpOptions
from nearkin.training.watch import Watch

RECIPE = """\
name: tiny
data: {source: digits, known: ["0", "1"], shots: 4, select: 4, calibrate: 10, test: 5}
backbone: BACKBONE
method: {type: embedding}
loss: {type: contrastive}
sampler: {type: balanced_pairs, pairs: 8}
train: {steps: 3}
evaluate: [{type: clusters}]
"""
BACKBONES = (
    "{type: conv4, width: 8}",
    "{type: resnet12, width: 8, image_size: 32}",
    "[{type: conv2}, {type: efficientnet_lite0, image_size: 32, embedding_dim: 16, head: mlp, normalize: true}]",
)


@pytest.fixture(scope="module", params=BACKBONES, ids=("conv4", "resnet12", "conv2 beside efficientnet_lite0"))
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> nearkin.Run:
    folder = tmp_path_factory.mktemp("run")
    (folder / "tiny.yaml").write_text(RECIPE.replace("BACKBONE", request.param))
    return nearkin.train(folder / "tiny.yaml", runs=folder / "runs", watch=Watch())


def images(run: nearkin.Run, count: int) -> Any:
    shape = (count, run.model.input.channels, *run.model.input.size)
    return np.random.default_rng(7).random(shape, dtype=np.float32)


def test_onnxruntime_gives_the_runs_embeddings_at_any_batch_size(run: nearkin.Run, tmp_path: Path) -> None:
    session = onnxruntime.InferenceSession(export_onnx(run, tmp_path / "model.onnx"))
    for count in (1, 2, 5):
        (theirs,) = session.run(["embeddings"], {"images": images(run, count)})
        np.testing.assert_allclose(theirs, run.model.embed_tensor(images(run, count)), atol=1e-4)


def test_torch_export_gives_the_runs_embeddings_at_any_batch_size(run: nearkin.Run, tmp_path: Path) -> None:
    extra = {"nearkin.json": ""}
    loaded = torch.export.load(export_torch(run, tmp_path / "model.pt2"), extra_files=extra).module()
    assert json.loads(extra["nearkin.json"])["input"]["size"] == list(run.model.input.size)
    for count in (1, 2, 5):
        theirs = loaded(torch.from_numpy(images(run, count))).detach().numpy()
        np.testing.assert_allclose(theirs, run.model.embed_tensor(images(run, count)), atol=1e-4)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> nearkin.Run:
    folder = tmp_path_factory.mktemp("small")
    (folder / "tiny.yaml").write_text(RECIPE.replace("BACKBONE", "{type: conv2, width: 4, image_size: 16}"))
    return nearkin.train(folder / "tiny.yaml", runs=folder / "runs", watch=Watch())


def test_several_looks_at_an_image_are_inside_the_graph(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(
        RECIPE.replace("BACKBONE", "{type: conv2, width: 4, image_size: 16}").replace(
            "shots", "contrast: {type: percentile}, shots"
        )
        + "embed: {views: 3, warp: {degrees: 10}, rotations: [90, 180]}\n"
    )
    looking = nearkin.train(tmp_path / "tiny.yaml", runs=tmp_path / "runs", watch=Watch())
    session = onnxruntime.InferenceSession(export_onnx(looking, tmp_path / "model.onnx"))
    about = json.loads(session.get_modelmeta().custom_metadata_map["nearkin"])
    assert (about["contrast"], about["metric"]) == ({"type": "percentile", "low": 1, "high": 99}, "l2")
    assert (about["input"]["crop"], about["class_rule"]) == (1, "nearest")
    # A runtime that normalised once more, by a mean and deviation found here, would answer by other embeddings.
    assert not {"mean", "std"} & about["input"].keys()
    assert (about["input"]["range"], about["normalisation"]) == ([0, 1], "inside the graph")
    (theirs,) = session.run(["embeddings"], {"images": images(looking, 4)})
    np.testing.assert_allclose(theirs, looking.model.embed_tensor(images(looking, 4)), atol=1e-4)


def test_a_method_that_no_index_serves_says_so_in_place_of_a_rule(
    small: nearkin.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(small.model.method, "no_index", "it looks at all of the support", raising=False)
    about = json.loads(graphs._about(small.model))
    assert (about["no_index"], "class_rule" in about) == ("it looks at all of the support", False)


def test_a_rule_that_needs_the_views_apart_says_how_many_there_are(
    small: nearkin.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    embed = EmbedOptions(views=3, warp=WarpOptions(degrees=10), join="concat", discriminant=0.5)
    monkeypatch.setattr(small.model, "blueprint", replace(small.model.blueprint, embed=embed))
    about = json.loads(graphs._about(small.model))
    assert (about["discriminant"], about["views"]) == (0.5, 3)


def test_a_graph_that_gives_other_embeddings_is_not_written(
    small: nearkin.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = graphs._onnx_runner
    monkeypatch.setattr(graphs, "_onnx_runner", lambda data: lambda given: right(data)(given) * 1.001)
    with pytest.raises(WorkFailed, match="other embeddings than the run"):
        export_onnx(small, tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


def test_a_graph_that_cannot_be_written_is_told_in_words(small: nearkin.Run, tmp_path: Path) -> None:
    (tmp_path / "model.pt2").mkdir()
    with pytest.raises(WorkFailed, match=r"model\.pt2: could not be saved: Is a directory\. .* move it away"):
        export_torch(small, tmp_path / "model.pt2")
    with pytest.raises(UsageError, match="export: give a path"):
        export_torch(small, None)  # type: ignore[arg-type]


def test_the_command_goes_by_the_ending(small: nearkin.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export(small.path, tmp_path / "model.pt2", plugins=())
    assert capsys.readouterr().out == f"{tmp_path / 'model.pt2'}\n"
    with pytest.raises(UsageError, match=r"\.onnx, or \.pt2"):
        export(small.path, tmp_path / "model.h5", plugins=())


def test_without_onnx_the_extra_is_named(small: nearkin.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(PluginError, match=r'pip install "nearkin\[onnx\]"'):
        export_onnx(small, tmp_path / "model.onnx")


def test_a_model_left_in_training_mode_is_exported_as_it_embeds(small: nearkin.Run, tmp_path: Path) -> None:
    before = {name: tensor.clone() for name, tensor in small.model.state_dict().items()}
    small.model.train()
    export_torch(small, tmp_path / "model.pt2")
    assert small.model.training
    small.model.eval()
    assert all(torch.equal(tensor, before[name]) for name, tensor in small.model.state_dict().items())
    theirs = torch.export.load(tmp_path / "model.pt2").module()(torch.from_numpy(images(small, 3))).detach().numpy()
    np.testing.assert_allclose(theirs, small.model.embed_tensor(images(small, 3)), atol=1e-4)
