"""The learning rate as a function of the step alone: a resumed run needs no memory of it."""

from __future__ import annotations

import math

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from nearkin.recipe.model import OptimizerOptions, ScheduleOptions


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


def make_optimizer(model: nn.Module, options: OptimizerOptions) -> Optimizer:
    """torch.optim's, over everything that learns."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if options.type == "sgd":
        return SGD(parameters, lr=options.lr, momentum=options.momentum, weight_decay=options.weight_decay)
    kind = Adam if options.type == "adam" else AdamW
    return kind(parameters, lr=options.lr, weight_decay=options.weight_decay)


def set_rate(optimizer: Optimizer, rate: float) -> None:
    """The same rate for every group."""
    for group in optimizer.param_groups:
        group["lr"] = rate
