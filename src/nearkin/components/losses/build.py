"""From options to the library's modules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from pytorch_metric_learning import distances, losses, miners, reducers, regularizers
from torch import nn

from nearkin.components.losses.entries import Entry, PartKind
from nearkin.components.losses.modules import LossModule, MemoryLoss, SmoothApLoss, StatefulLoss, keep_within
from nearkin.components.losses.notes import RENAMED
from nearkin.components.losses.tables import Kind, tables
from nearkin.contracts import Build, Options
from nearkin.errors import UsageError, listing

MODULES: Mapping[Kind, Any] = {
    "loss": losses,
    "distance": distances,
    "reducer": reducers,
    "regularizer": regularizers,
    "miner": miners,
}


def build_loss(name: str, options: Options, build: Build) -> nn.Module:
    """The loss with its parts, in a module that mines, remembers and reports."""
    entry = tables()["loss"][name]
    loss = _library_module("loss", entry, options, build)
    miner = _optional_part("miner", getattr(options, "miner", None), build)
    memory = getattr(options, "memory", None)
    if memory is not None:
        queue = losses.CrossBatchMemory(loss, _given(build)["embedding_dim"], memory.size, miner)
        return MemoryLoss(name, queue, None)
    if name == "histogram":
        keep_within(loss.distance, 1.0)
    kind = {"dynamic_soft_margin": StatefulLoss, "smooth_ap": SmoothApLoss}.get(name, LossModule)
    return kind(name, loss, miner)


def _optional_part(kind: PartKind, options: Any, build: Build, centers: int = 1) -> nn.Module | None:
    if options is None:
        return None
    made: nn.Module = _library_module(kind, tables()[kind][options.type], options, build, centers)
    return made


def _library_module(kind: Kind, entry: Entry, options: Any, build: Build, centers: int = 1) -> Any:
    """An instance of the entry's class, with its arguments, its parts, and what the surroundings give."""
    centers = getattr(options, "centers_per_class", getattr(options, "sub_centers", centers))
    given = {**_given(build), "centers": centers}
    arguments: dict[str, Any] = {argument: given[of] for argument, of in entry.given.items()}
    for argument in entry.arguments:
        option = RENAMED.get(argument, argument)
        if option in type(options).model_fields:
            arguments[argument] = _value(argument, getattr(options, option), build)
    for key, slot in entry.slots.items():
        if key in type(options).model_fields:
            arguments[key] = _optional_part(slot.kind, getattr(options, key), build, centers)
    return getattr(MODULES[kind], entry.library)(**arguments)


def _value(argument: str, value: Any, build: Build) -> Any:
    if argument == "weights":
        return _class_weights(value, build.classes)
    if argument in RENAMED:
        return len(build.classes) if value else None
    return value


def _given(build: Build) -> dict[str, int]:
    return {"classes": len(build.classes), "embedding_dim": build.embedding_dim or 0}


def _class_weights(weights: Mapping[str, float], classes: tuple[str, ...]) -> torch.Tensor:
    """By class code: (c,). Each known class has one, and no other."""
    missing, unknown = [one for one in classes if one not in weights], [one for one in weights if one not in classes]
    if missing or unknown:
        told = f"no weight for {listing(missing)}" if missing else f"no known class is called {listing(unknown)}"
        raise UsageError(f"the reducer class_weighted: {told}. Give weights for {listing(classes)}.")
    return torch.tensor([weights[one] for one in classes])
