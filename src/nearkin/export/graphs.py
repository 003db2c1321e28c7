"""The network as a graph that needs no nearkin: ONNX, or torch.export's format; each proven equal as it is written."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from nearkin.arguments import path_of
from nearkin.contracts import FloatArray
from nearkin.errors import PluginError, WorkFailed
from nearkin.files import to_json, write_atomic
from nearkin.writable import explaining

if TYPE_CHECKING:
    from nearkin.model import Model
    from nearkin.run import Run

TOLERANCE = 1e-4
"""How far an exported graph's embeddings may be from the run's, relative to the largest of them."""
ABOUT = "nearkin"
BATCHES = (1, 3)
"""Sizes that parity is tried at: the graph must take any."""


def export_onnx(run: Run, path: Path | str) -> Path:
    """Write `run`'s network as ONNX: input `images` (b, channels, h, w) in [0, 1], output `embeddings` (b, d).

    Normalisation and the method's transform are inside; what must come before them (size, crop, contrast) and how to
    compare the embeddings stands as JSON in the file's metadata under `nearkin`. Run by onnxruntime, its embeddings
    must be the run's to 1e-4 of the largest; else `WorkFailed`, and nothing is written. Needs the extra `onnx`.
    """
    _require("onnx", "onnxscript", "onnxruntime")
    import torch

    from nearkin.modes import evaluating

    with evaluating(run.model):
        network, example = _network(run.model)
        batch = torch.export.Dim("batch", min=1)
        program: Any = torch.onnx.export(
            network, (example,), dynamo=True, dynamic_shapes=({0: batch},), input_names=["images"],
            output_names=["embeddings"], verbose=False,
        )  # fmt: skip
    proto = program.model_proto
    proto.metadata_props.add(key=ABOUT, value=_about(run.model).decode())
    data = cast(bytes, proto.SerializeToString())
    _prove(run.model, _onnx_runner(data), "onnxruntime")
    return _written(path_of(path, "export"), data)


def export_torch(run: Run, path: Path | str) -> Path:
    """Write `run`'s network by torch.export (`.pt2`), without TorchScript; `torch.export.load` opens it.

    Input, output and the proof are those of `export_onnx`; what stands in the metadata there is the extra file
    `nearkin.json` here.
    """
    import torch

    from nearkin.modes import evaluating

    with evaluating(run.model):
        network, example = _network(run.model)
        batch = torch.export.Dim("batch", min=1)
        program = torch.export.export(network, (example,), dynamic_shapes=({0: batch},))
    buffer = io.BytesIO()
    torch.export.save(program, buffer, extra_files={f"{ABOUT}.json": _about(run.model).decode()})
    buffer.seek(0)
    loaded = torch.export.load(buffer).module()
    _prove(run.model, lambda images: loaded(torch.from_numpy(images)).detach().numpy(), "torch.export")
    return _written(path_of(path, "export"), buffer.getvalue())


def _about(model: Model) -> bytes:
    """What a runtime must do before the graph, and after it."""
    wanted = {name: value for name, value in asdict(model.input).items() if name not in ("mean", "std")}
    no_index, embed = model.no_index, model.blueprint.embed
    return to_json(
        {
            "input": {**wanted, "range": [0, 1]},
            "normalisation": "inside the graph",
            **model.blueprint.preparation.plain(),
            "metric": model.method.metric,
            **({"no_index": no_index} if no_index else {"class_rule": model.method.class_rule}),
            **({} if embed.discriminant is None else {"discriminant": embed.discriminant, "views": embed.views}),
        }
    )


def _network(model: Model) -> tuple[Any, Any]:
    """The embedding as one module, and a batch to trace it with: of two, as a batch of one is taken to be fixed."""
    import torch
    from torch import Tensor, nn

    class Network(nn.Module):
        """(b, channels, h, w) in [0, 1] -> (b, d), as the index stores it."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, images: Tensor) -> Tensor:
            """As the run embeds."""
            return self.model.embeddings(images)

    example = torch.from_numpy(_images(model, 2))
    # What is worked out on first use must not be worked out while tracing, where tensors are stand-ins.
    model.embeddings(example)
    return Network().eval(), example


def _images(model: Model, count: int) -> FloatArray:
    shape = (count, model.input.channels, *model.input.size)
    return np.random.default_rng(count).random(shape, dtype=np.float32)


def _onnx_runner(data: bytes) -> Callable[[FloatArray], FloatArray]:
    import onnxruntime

    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    return lambda images: cast(FloatArray, session.run(["embeddings"], {"images": images})[0])


def _prove(model: Model, runner: Callable[[FloatArray], FloatArray], what: str) -> None:
    """Same embeddings at several batch sizes, or `WorkFailed`."""
    for count in BATCHES:
        images = _images(model, count)
        ours, theirs = model.embed_tensor(images), runner(images)
        apart = float(np.abs(ours - theirs).max() / max(float(np.abs(ours).max()), 1e-12))
        if ours.shape != theirs.shape or not apart <= TOLERANCE:
            raise WorkFailed(
                f"the graph that {what} runs gives other embeddings than the run: {apart:.2g} of the largest apart, "
                f"{TOLERANCE:g} is allowed. Nothing was written."
            )


def _written(path: Path, data: bytes) -> Path:
    with explaining(path):
        write_atomic(path, data)
    return path


def _require(*modules: str) -> None:
    from importlib.util import find_spec

    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise PluginError(f'export to ONNX needs {", ".join(missing)}: pip install "nearkin[onnx]".')
