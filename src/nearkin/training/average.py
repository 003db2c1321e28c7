"""An exponential moving average of the weights, which often judges and generalises better than the weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from nearkin.training.checkpoint import Weights, copy_weights


class WeightAverage:
    """Averaged weights and buffers, beside the model's own."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights: Weights = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Take in the weights after this many steps. Early ones are forgotten sooner: decay (1 + n) / (10 + n)."""
        now = model.state_dict()
        moving = [name for name, tensor in self.weights.items() if tensor.is_floating_point()]
        average = get_ema_multi_avg_fn(min(self.decay, (1 + step) / (10 + step)))  # type: ignore[no-untyped-call]
        average([self.weights[name] for name in moving], [now[name].detach() for name in moving], step)
        for name in self.weights.keys() - {*moving}:
            self.weights[name].copy_(now[name])

    @contextmanager
    def in_place(self, model: nn.Module) -> Iterator[None]:
        """The model holds the average inside, its own weights again outside."""
        own = copy_weights(model)
        model.load_state_dict(self.weights)
        try:
            yield
        finally:
            model.load_state_dict(own)
