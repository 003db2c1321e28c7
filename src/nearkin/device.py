"""Where and beside whom work runs: accelerate's view of devices and processes, held to what was asked for."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Literal

import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs

from nearkin.errors import WorkFailed

LONGEST_WAIT = timedelta(days=30)
"""How long a process may wait for another that decodes or embeds a large folder alone; torch's own half hour, or ten
minutes, would end a healthy run. A process that died ends the others by its launcher."""


def make_accelerator(device: Literal["auto", "cpu", "cuda", "mps"] = "auto") -> Accelerator:
    """An accelerator on that device; `auto` takes CUDA, then MPS, then the CPU."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True, "auto": True}
    if not there[device]:
        raise WorkFailed(
            f"train.device is {device!r}, but this machine (with torch {torch.__version__}) has none. "
            "Use 'auto' or 'cpu', or install a build of torch for it."
        )
    on_cpu = device == "cpu" or (device == "auto" and not (there["cuda"] or there["mps"]))
    accelerator = Accelerator(cpu=on_cpu, kwargs_handlers=[InitProcessGroupKwargs(timeout=LONGEST_WAIT)])
    if device != "auto" and accelerator.device.type != device:
        raise WorkFailed(f"train.device is {device!r}, but accelerate was already set up for {accelerator.device}.")
    _refuse_strangers(accelerator)
    return accelerator


def processes_launched() -> int:
    """How many processes a launcher such as torchrun says that it started; 1 where there was none."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def _refuse_strangers(accelerator: Accelerator) -> None:
    """Processes that were launched together but do not know of each other would each do, and write, all of it."""
    launched = processes_launched()
    if launched != accelerator.num_processes:
        raise WorkFailed(
            f"{launched} processes were launched, but each of them sees {accelerator.num_processes}: accelerate did "
            "not join them. Launch them with 'torchrun', or with 'accelerate launch' set up for this machine."
        )
