"""Where training runs: accelerate's view of the devices, held to what the recipe asked for."""

from __future__ import annotations

from typing import Literal

import torch
from accelerate import Accelerator

from nearkin.errors import WorkFailed


def make_accelerator(device: Literal["auto", "cpu", "cuda", "mps"]) -> Accelerator:
    """An accelerator on that device; `auto` takes CUDA, then MPS, then the CPU."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True, "auto": True}
    if not there[device]:
        raise WorkFailed(
            f"train.device is {device!r}, but this machine (with torch {torch.__version__}) has none. "
            "Use 'auto' or 'cpu', or install a build of torch for it."
        )
    accelerator = Accelerator(cpu=device == "cpu")
    if device != "auto" and accelerator.device.type != device:
        raise WorkFailed(f"train.device is {device!r}, but accelerate was already set up for {accelerator.device}.")
    return accelerator
