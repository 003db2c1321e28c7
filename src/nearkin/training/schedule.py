"""The learning rate as a function of the step alone: a resumed run needs no memory of it."""

from __future__ import annotations

import math
from typing import Any

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from nearkin.errors import UsageError
from nearkin.model import Model
from nearkin.recipe.train_options import OptimizerOptions, ScheduleOptions
from nearkin.side_by_side import trunk_of


def rate_factor(step: int, total: int, options: ScheduleOptions) -> float:
    """What the full rate is multiplied by at this step (from 0) of `total`."""
    if step < options.warmup:
        return (step + 1) / (options.warmup + 1)
    done = (step - options.warmup) / max(1, total - options.warmup)
    if options.type == "linear":
        return 1 - done
    if options.type == "cosine":
        return 0.5 * (1 + math.cos(math.pi * done))
    return 1.0


def make_optimizer(model: Model, options: OptimizerOptions) -> Optimizer:
    """torch.optim's, over everything that learns."""
    groups = parameter_groups(model, options)
    if not groups:
        raise UsageError(
            "nothing of this model learns: its backbone is frozen, and no projection head, method or loss has weights. "
            "Freeze less, give backbone.embedding_dim, or choose a method that has weights."
        )
    if options.type == "sgd":
        return SGD(groups, lr=options.lr, momentum=options.momentum, weight_decay=options.weight_decay)
    kind = Adam if options.type == "adam" else AdamW
    return kind(groups, lr=options.lr, weight_decay=options.weight_decay)


def parameter_groups(model: Model, options: OptimizerOptions) -> list[dict[str, Any]]:
    """What learns, each group with its `share` of the full rate: trunk and loss apart where they have their own."""
    own = {id(parameter): options.loss_lr for parameter in model.loss_weights}
    own |= {id(parameter): options.backbone_lr for parameter in trunk_of(model.backbone).parameters()}
    groups: dict[float, list[nn.Parameter]] = {1.0: []}
    for parameter in model.parameters():
        if parameter.requires_grad:
            groups.setdefault((own.get(id(parameter)) or options.lr) / options.lr, []).append(parameter)
    return [{"params": parameters, "share": share} for share, parameters in groups.items() if parameters]


def set_rate(optimizer: Optimizer, rate: float) -> None:
    """Every group's share of the rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["share"]
