"""The training loop: seeded steps, a watch on every loss and gradient, checkpoints, early stopping on select."""

from __future__ import annotations

import json
import math
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast
from torch import Tensor

from nearkin.contracts import Batch, Sampler, Structure
from nearkin.errors import WorkFailed, blaming, listing
from nearkin.files import MANIFEST
from nearkin.model import Model
from nearkin.recipe.train_options import TrainOptions
from nearkin.training.average import WeightAverage
from nearkin.training.checkpoint import Standing, Weights, copy_weights, load_checkpoint, save_checkpoint
from nearkin.training.checks import BatchCheck, check_loss
from nearkin.training.diagnosis import EVERY, Diagnosis, reading
from nearkin.training.frozen import frozen_half
from nearkin.training.images import Batches, LabelledImages, refuse_held_out
from nearkin.training.kornia_layers import kornia_layers
from nearkin.training.schedule import make_optimizer, rate_factor, set_rate
from nearkin.training.selection import pair_auc

DRAWN_AT_ONCE = 16
Ended: TypeAlias = Literal["steps done", "early stopping", "target reached", "interrupted"]


@dataclass(frozen=True)
class Progress:
    """What is told after every step."""

    step: int
    total: int
    loss: float
    score: float | None
    """The latest on select."""

    def __str__(self) -> str:
        score = "" if self.score is None else f"  select {self.score:.4f}"
        return f"training  loss {self.loss:.4f}{score}"


@dataclass(frozen=True)
class Outcome:
    """How a training ended."""

    ended: Ended
    standing: Standing
    warnings: tuple[str, ...]
    """What went wrong on the way, a sentence each."""


@dataclass
class Trainer:
    """Trains `model` in place and keeps metrics and checkpoints under `folder`."""

    model: Model
    sampler: Sampler
    train: LabelledImages
    select: LabelledImages | None
    options: TrainOptions
    seed: int
    metrics: Path
    checkpoints: Path
    accelerator: Accelerator
    check: BatchCheck
    on_step: Callable[[Progress], None] = lambda _: None
    on_warning: Callable[[str], None] = lambda _: None
    standing: Standing = field(default_factory=Standing)
    diagnosis: Diagnosis = field(default_factory=Diagnosis)

    def __post_init__(self) -> None:
        refuse_held_out(self.train, self.select)
        passes = (self.options.epochs or 0) * self.sampler.steps_per_epoch
        self.total = self.options.steps or math.ceil(passes / self.accelerator.num_processes)
        self.model.to(self.accelerator.device)
        self.optimizer = make_optimizer(self.model, self.options.optimizer)
        self._learning = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
        self._drawn: dict[int, Batch] = {}
        self.best: Weights | None = None
        self.score: float | None = None
        self.average = WeightAverage(self.model, self.options.average) if self.options.average else None
        augment = self.options.augment
        layers = kornia_layers(augment.kornia, self.model.input) if augment and augment.kornia else None
        self._batches = Batches(self.train, augment, self.accelerator.device, layers)

    def restore(self) -> None:
        """Go on from the checkpoint, where there is one; what was written after it is cut off."""
        if not (self.checkpoints / MANIFEST).exists():
            return
        self.standing, self.best, average = load_checkpoint(self.checkpoints, self.model, self.optimizer)
        if self.average and average:
            self.average.weights = {name: tensor.to(self.accelerator.device) for name, tensor in average.items()}
        self.score = self.standing.best_score
        if self.accelerator.is_main_process:
            for line in self.metrics.read_bytes()[: self.standing.metrics_bytes].splitlines():
                self.diagnosis.read(json.loads(line))

    def run(self) -> Outcome:
        """Train to the end, to early stopping, or to the first Ctrl-C; the model then holds the kept weights."""
        learner = self.accelerator.prepare(self.model) if self.accelerator.num_processes > 1 else self.model
        with torch.random.fork_rng(), self._metrics_file() as log, self._stop_requests() as stop:
            self.model.train()
            if not self.options.augment and (half := frozen_half(self.model)):
                with self._precision():
                    self._batches.embed_once(half)
            ended = self._loop(learner, log, stop)
        if ended == "interrupted":
            self._save()
        elif self.best is not None:
            self.model.load_state_dict(self.best)
        elif self.average:
            self.model.load_state_dict(self.average.weights)
        self.model.eval()
        return Outcome(ended, self.standing, tuple(self.diagnosis.warnings))

    def _loop(self, learner: Any, log: Any, stop: threading.Event) -> Ended:
        while self.standing.step < self.total:
            line = self._step(learner, self.standing.step)
            self.standing.step += 1
            if self._look_due():
                line["select_pair_auc"] = self._look()
            if warnings := self.diagnosis.read(line):
                line["warnings"] = warnings
            for sentence in warnings:
                self.on_warning(sentence)
            log.write((json.dumps(line) + "\n").encode())
            log.flush()
            self.standing.metrics_bytes = log.tell()
            self.on_step(Progress(self.standing.step, self.total, line["loss"], self.score))
            if self._done_at_target():
                return "target reached"
            if self._patience_spent():
                return "early stopping"
            if stop.is_set():
                return "interrupted"
            if self.standing.step % self.options.checkpoint_every == 0:
                self._save()
        return "steps done"

    def _step(self, learner: Any, step: int) -> dict[str, Any]:
        """One optimiser step; the batch, its augmentation and any dropout follow seed, step and rank alone."""
        # Rank r of W takes batches r, r + W, ... of the one seeded sequence.
        number = step * self.accelerator.num_processes + self.accelerator.process_index
        batch = self._batch(number)
        self._seed(number)
        rate = self.options.optimizer.lr * rate_factor(step, self.total, self.options.schedule)
        set_rate(self.optimizer, rate)
        images, labels = self._batches.of(batch.items)
        self.optimizer.zero_grad(set_to_none=True)
        who = self.model.blueprint.said
        with blaming(who), self._precision():
            made = learner(images, labels, self._structure(batch.structure))
        loss = check_loss(made.loss, f"the method {self.model.blueprint.method.type} (with its loss)")
        value = self._finite(loss.item(), "loss", step, batch)
        self.accelerator.backward(loss)
        norm = self._finite(self._clip().item(), "gradient", step, batch)
        self.optimizer.step()
        if self.average:
            self.average.update(self.model, step)
        line = {"step": step + 1, "loss": value, "gradient_norm": norm, "learning_rate": rate}
        with blaming(who):
            return line | reading(self.model, made.embeddings, labels) if (step + 1) % EVERY == 0 else line

    def _precision(self) -> torch.autocast:
        """The network's, as the recipe asks."""
        half = self.options.precision == "bfloat16"
        return torch.autocast(self.accelerator.device.type, torch.bfloat16, enabled=half)

    def _batch(self, number: int) -> Batch:
        """That batch of the sequence. Several are drawn at once: between training steps one costs ten times as much."""
        if number not in self._drawn:
            every = self.accelerator.num_processes
            numbers = range(number, number + DRAWN_AT_ONCE * every, every)
            self._drawn = {one: self.check.batch(self.sampler, one) for one in numbers}
        return self._drawn[number]

    def _seed(self, number: int) -> None:
        """Seed the generators that this step may draw from.

        Not torch.manual_seed: it seeds devices that are not there too, and notes a stack trace for each of them.
        """
        seed = int(np.random.SeedSequence([self.seed, number]).generate_state(1)[0])
        torch.default_generator.manual_seed(seed)
        if self.accelerator.device.type in ("cuda", "mps"):
            getattr(torch, self.accelerator.device.type).manual_seed(seed)

    def _structure(self, structure: Structure) -> Structure:
        """The same positions as tensors on the device."""
        if structure is None:
            return None
        return type(structure)(*(torch.from_numpy(part).to(self.accelerator.device) for part in structure))

    def _clip(self) -> Tensor:
        """The gradients' L2 norm, after which they are scaled down where the recipe asks for it."""
        if self.options.clip_norm is None:
            return torch.nn.utils.get_total_norm([p.grad for p in self._learning if p.grad is not None])
        return torch.nn.utils.clip_grad_norm_(self._learning, self.options.clip_norm)

    def _finite(self, value: float, what: str, step: int, batch: Batch) -> float:
        if math.isfinite(value):
            return value
        items = listing(self.train.names(batch.items), most=60)
        raise WorkFailed(
            f"the {what} is {value} at step {step + 1}; training stopped before the weights changed. "
            f"Lower train.optimizer.lr, set train.clip_norm, or look at the images of this batch: {items}."
        )

    def _look_due(self) -> bool:
        stopping = self.options.early_stopping
        last = self.standing.step == self.total
        return bool(self.select and stopping and (last or self.standing.step % stopping.every == 0))

    def _look(self) -> float:
        """Score the model (or its average) on select; keep its weights where no earlier ones were better."""
        with self.average.in_place(self.model) if self.average else nullcontext():
            return self._judge()

    def _judge(self) -> float:
        assert self.select is not None
        vectors = self.model.embed_tensor(self.select.own, one_look=True)
        self.score = pair_auc(vectors, self.select.labels, self.model.method.metric)
        if self.accelerator.num_processes > 1:
            # Batch-norm statistics differ a little between processes: the first one's verdict is everyone's.
            self.score = float(broadcast(torch.tensor(self.score, device=self.accelerator.device)))
        best = self.standing.best_score
        if best is None or self.score > best:
            self.standing.improved_at = self.standing.step
        # Of equal scores the later one is kept: it has trained longer.
        if best is None or self.score >= best:
            self.standing.best_score, self.standing.best_step = self.score, self.standing.step
            self.best = copy_weights(self.model)
        target = self.options.early_stopping and self.options.early_stopping.target
        if target and self.score >= target and self.standing.reached_at is None:
            self.standing.reached_at = self.standing.step
        return self.score

    def _done_at_target(self) -> bool:
        stopping = self.options.early_stopping
        return bool(stopping and stopping.stop_at_target and self.standing.reached_at == self.standing.step)

    def _patience_spent(self) -> bool:
        stopping = self.options.early_stopping
        if not (self.select and stopping) or self.standing.best_score is None:
            return False
        return self.standing.step - self.standing.improved_at >= stopping.every * stopping.patience

    def _save(self) -> None:
        if self.accelerator.is_main_process:
            average = self.average.weights if self.average else None
            save_checkpoint(self.checkpoints, self.model, self.optimizer, self.standing, self.best, average)

    def _stop_requests(self) -> AbstractContextManager[threading.Event]:
        """Several processes would not stop at the same step, and wait for each other for ever: there a signal kills."""
        return stop_requests() if self.accelerator.num_processes == 1 else nullcontext(threading.Event())

    @contextmanager
    def _metrics_file(self) -> Iterator[Any]:
        """metrics.jsonl, cut back to where the standing says; other processes than the first write nowhere."""
        path = self.metrics if self.accelerator.is_main_process else Path(os.devnull)
        with path.open("ab") as file:
            if self.accelerator.is_main_process:
                file.truncate(self.standing.metrics_bytes)
                file.seek(0, os.SEEK_END)
            yield file


@contextmanager
def stop_requests() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C (or SIGTERM) sets, so that a step is never cut in half; the second one raises."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def ask(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
