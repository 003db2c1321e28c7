"""The same training steps twice: through the trainer, and through a hand-written loop."""

from __future__ import annotations

import tempfile
import time
from functools import cache
from pathlib import Path

import torch

from nearkin import load_registries
from nearkin.blueprint import Blueprint
from nearkin.model import Model, build_model
from nearkin.recipe import read_recipe
from nearkin.recipe.shipped import find_recipe
from nearkin.training.checks import BatchCheck
from nearkin.training.trainer import Trainer
from nearkin.training.watch import Watch
from nearkin.training.work import Work
from tests.bench import reference_loop

SETTINGS = ["train.augment=null", "train.early_stopping=null", "train.schedule={type: constant}"]


@cache
def work() -> Work:
    """The demo's recipe, its images decoded; no augmentation and no looks, which the raw loop has not either."""
    registries = load_registries()
    recipe = read_recipe(find_recipe("digits-siamese"), registries, SETTINGS)
    return Work.prepare(recipe, registries, Watch())


def fresh_model() -> Model:
    """The recipe's model before its first step."""
    return build_model(Blueprint.of(work().recipe, work().dataset.classes), work().registries)


def trainer_seconds(steps: int) -> float:
    """Seconds of `steps` steps of the trainer, checkpoints and metrics included."""
    prepared = work()
    train = prepared.labelled("train")
    options = prepared.recipe.train.model_copy(update={"steps": steps})
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            model=fresh_model(),
            sampler=prepared.sampler,
            train=train,
            select=None,
            options=options,
            seed=0,
            metrics=Path(folder) / "metrics.jsonl",
            checkpoints=Path(folder) / "checkpoints",
            accelerator=prepared.accelerator,
            check=BatchCheck(prepared.registries.sampler.get(prepared.recipe.sampler.type), train.labels),
        )
        started = time.perf_counter()
        trainer.run()
        return time.perf_counter() - started


def reference_seconds(steps: int) -> float:
    """Seconds of the same steps by hand; its batches are drawn beforehand."""
    prepared = work()
    train = prepared.labelled("train")
    batches = []
    for step in range(steps):
        batch = prepared.sampler.batch(step)
        structure = type(batch.structure)(*(torch.from_numpy(part) for part in batch.structure))
        batches.append((torch.from_numpy(batch.items), structure))
    rate = prepared.recipe.train.optimizer.lr
    images, labels = torch.from_numpy(train.own), torch.from_numpy(train.labels)
    return reference_loop.train(fresh_model(), images, labels, batches, rate)
