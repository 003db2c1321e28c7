"""A hand-written PyTorch training loop: what the trainer's step is measured against."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


def train(model: nn.Module, images: Tensor, labels: Tensor, batches: Sequence[Any], rate: float) -> float:
    """Seconds for one pass over the batches: forward, loss, backward, Adam; nothing else."""
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    model.train()
    started = time.perf_counter()
    for items, structure in batches:
        optimizer.zero_grad(set_to_none=True)
        loss = model(images[items], labels[items], structure).loss
        loss.backward()
        optimizer.step()
    return time.perf_counter() - started
