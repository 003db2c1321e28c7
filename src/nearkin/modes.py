"""How a network is run for a while: in evaluation mode, or with seeded generators."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """In evaluation mode inside, as it was outside."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """torch's global generators seeded inside, restored outside."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield
