"""Checkpoints: what a run needs to go on as if it had never stopped. Safetensors and JSON, no pickle."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load, save
from torch import Tensor, nn
from torch.optim import Optimizer

from nearkin.files import read_bundle, save_bundle, to_json
from nearkin.parsing import bounded_tensors

FORMAT, VERSION = "nearkin checkpoint", 1
Weights = dict[str, Tensor]


@dataclass
class Standing:
    """Where a training stands after `step` steps. Randomness and learning rate follow the step: they are not here."""

    step: int = 0
    best_step: int = 0
    """After how many steps the kept weights were seen."""
    best_score: float | None = None
    improved_at: int = 0
    """The step of the last strictly better score."""
    reached_at: int | None = None
    """The step whose score first reached the target, if one was set and has been."""
    metrics_bytes: int = 0
    """How long metrics.jsonl was: what a killed run wrote after its checkpoint is cut off."""


def copy_weights(model: nn.Module) -> Weights:
    """The state of weights and buffers, on the CPU, apart from the model's own."""
    return {name: tensor.detach().cpu().clone().contiguous() for name, tensor in model.state_dict().items()}


def save_checkpoint(
    folder: Path,
    model: nn.Module,
    optimizer: Optimizer,
    standing: Standing,
    best: Weights | None,
    average: Weights | None = None,
) -> None:
    """Make this the folder's one checkpoint, atomically."""
    tensors, plain = _split_state(optimizer)
    files = {"weights.safetensors": save(copy_weights(model)), "optimizer.safetensors": save(tensors)}
    files["optimizer.json"] = to_json(plain)
    if best is not None:
        files["best.safetensors"] = save(best)
    if average is not None:
        files["average.safetensors"] = save({name: tensor.cpu().contiguous() for name, tensor in average.items()})
    save_bundle(folder, files, asdict(standing), format_name=FORMAT, version=VERSION)


def load_checkpoint(
    folder: Path, model: nn.Module, optimizer: Optimizer
) -> tuple[Standing, Weights | None, Weights | None]:
    """Put model and optimiser back where they were; how far they had come, the best weights so far, the average."""
    bundle = read_bundle(folder, format_name=FORMAT, version=VERSION)
    model.load_state_dict(load(bounded_tensors(bundle.files["weights.safetensors"])))
    _join_state(
        optimizer,
        load(bounded_tensors(bundle.files["optimizer.safetensors"])),
        json.loads(bundle.files["optimizer.json"]),
    )
    best, average = (
        load(bounded_tensors(bundle.files[name])) if name in bundle.files else None
        for name in ("best.safetensors", "average.safetensors")
    )
    return Standing(**bundle.meta), best, average


def _split_state(optimizer: Optimizer) -> tuple[Weights, dict[str, Any]]:
    """An optimiser's state as tensors named `parameter/name`, and everything else as JSON."""
    tensors: Weights = {}
    plain: dict[str, Any] = {}
    for parameter, state in optimizer.state_dict()["state"].items():
        for name, value in state.items():
            if isinstance(value, Tensor):
                tensors[f"{parameter}/{name}"] = value.detach().cpu().clone().contiguous()
            else:
                plain[f"{parameter}/{name}"] = value
    return tensors, plain


def _join_state(optimizer: Optimizer, tensors: Weights, plain: dict[str, Any]) -> None:
    state: dict[int, dict[str, Any]] = {}
    for key, value in {**tensors, **plain}.items():
        parameter, name = key.split("/", 1)
        state.setdefault(int(parameter), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
