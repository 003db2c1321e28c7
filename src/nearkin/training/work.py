"""One training: data, model, training, embeddings, index."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from nearkin import making
from nearkin.blueprint import Blueprint
from nearkin.contracts import Build, Sampler, Split
from nearkin.data import Dataset, ImageStore, load_data
from nearkin.data.extra import TrainingClasses
from nearkin.data.folds import refuse_parted_copies
from nearkin.data.shared import load_once
from nearkin.device import make_accelerator
from nearkin.embeddings import EmbeddingCache
from nearkin.errors import UsageError, WorkFailed
from nearkin.index import Index, save
from nearkin.model import Model, build_model
from nearkin.provenance import component_facts, versions
from nearkin.recipe import Recipe
from nearkin.registry import Registries
from nearkin.run import RunFolder
from nearkin.training.checks import BatchCheck, check_embedding, check_first_batch
from nearkin.training.conclusion import ending_facts, told
from nearkin.training.images import LabelledImages, refuse_oblong
from nearkin.training.indexing import build_index, refuse_unfit_engine, uncalibrated_notes
from nearkin.training.kornia_layers import kornia_layers
from nearkin.training.selection import refuse_unjudgeable
from nearkin.training.trainer import Outcome, Trainer
from nearkin.training.warm_start import WarmStart
from nearkin.training.watch import Watch

FoldTrainer: TypeAlias = Callable[[Recipe, RunFolder, Watch], Sequence[Index]]
"""Trains a model a fold, under the folder of the main one; their indexes, each calibrated on its own fold."""


@dataclass
class Work:
    """One training, ready to go: everything checked, every image decoded."""

    recipe: Recipe
    registries: Registries
    watch: Watch
    accelerator: Accelerator
    dataset: Dataset
    training: TrainingClasses
    model: Model
    store: ImageStore
    sampler: Sampler
    ancestors: Mapping[str, str]
    """Each run that a backbone begins with -> the hash of its weights file."""
    folds: FoldTrainer | None = None
    fold_indexes: Sequence[Index] = ()

    @classmethod
    def prepare(
        cls,
        recipe: Recipe,
        registries: Registries,
        watch: Watch,
        folds: FoldTrainer | None = None,
        *,
        without: str | None = None,
    ) -> Work:
        """Draw the splits, build the model, decode every image, make the sampler; all that can fail before step 1.

        `without`: a known class that is left out, and is all there is to ask about (`Dataset.without`).
        """
        accelerator = make_accelerator(recipe.train.device)
        watch = watch if accelerator.is_main_process else Watch()
        source, drawn = load_data(recipe.data, recipe.seed)
        dataset = drawn if without is None else drawn.without(without)
        if recipe.train.early_stopping and dataset.items["select"]:
            refuse_unjudgeable(dataset.codes("select"))
        training = TrainingClasses.of(dataset.classes, dataset.codes("train"), recipe.data.extra_classes)
        model = build_model(Blueprint.of(recipe, training.names), registries)
        if not model.no_index:
            refuse_unfit_engine(recipe, registries, model)
        refuse_oblong(model.input.size, training.variants)
        if recipe.train.augment:
            kornia_layers(recipe.train.augment.kornia, model.input)
        progress = partial(watch.progress, "reading images")
        given = (source, dataset.all_items(), model.input, progress)
        load = partial(ImageStore.load, *given, spare=dataset.spare, preparation=recipe.data.preparation)
        store = _shared_store(accelerator, load) if accelerator.num_processes > 1 else load()
        if recipe.unknown.n_folds:
            train, seed = dataset.items["train"], recipe.seed if recipe.data.seed is None else recipe.data.seed
            refuse_parted_copies(train, store.digests(train), recipe.unknown.n_folds, seed)
        notes = [*dataset.notes(), *store.copies(dataset), *uncalibrated_notes(recipe, registries, dataset)]
        warm_start = WarmStart.of(recipe)
        warm_start.refuse_seen(dataset, store)
        notes += warm_start.give(model)
        notes += _forewarnings(recipe, model)
        check_embedding(model, store.images(dataset.items["train"][:2]), registries)
        for note in notes:
            watch.message(note)
        sampler = make_sampler(recipe, registries, training, model)
        begun = warm_start.digests
        work = cls(recipe, registries, watch, accelerator, dataset, training, model, store, sampler, begun, folds)
        check_first_batch(model, work.check.batch(sampler, 0), training.codes)
        return work

    @property
    def check(self) -> BatchCheck:
        """What holds the sampler to what it says it yields."""
        return BatchCheck(self.registries.of("sampler").get(self.recipe.sampler.type), self.training.codes)

    def facts(self) -> dict[str, Any]:
        """What the manifest says of the circumstances."""
        return {
            "versions": versions(),
            "components": component_facts(self.recipe, self.registries),
            "seed": self.recipe.seed,
            "device": self.accelerator.device.type,
            "cpu": torch.backends.cpu.get_cpu_capability(),
            "threads": torch.get_num_threads(),
            "processes": self.accelerator.num_processes,
            "ancestors": dict(self.ancestors),
            "data": self.store.fingerprint(self.dataset),
            "classes": list(self.dataset.classes),
            "images": {split: len(items) for split, items in self.dataset.items.items()},
        }

    def labelled(self, split: Split) -> LabelledImages:
        """One split, as the trainer takes it."""
        items = self.dataset.items[split]
        keys = tuple(item.key for item in items)
        images, rows = self.store.all_images, self.store.rows(items)
        if split == "train":
            return LabelledImages(split, keys, images, self.training.codes, self.training.variants, rows)
        return LabelledImages(split, keys, images, self.dataset.codes(split), rows=rows)

    def run(self, folder: RunFolder) -> None:
        """Train, from the folder's checkpoint where it has one, and leave a finished run behind."""
        with folder.owned() if self.accelerator.is_main_process else nullcontext():
            if self.recipe.unknown.n_folds:
                self.fold_indexes = self._train_folds(folder)
            self._run(folder)

    def _train_folds(self, folder: RunFolder) -> Sequence[Index]:
        """The index of each fold's model, calibrated on that fold."""
        if self.folds is None:
            raise UsageError("this recipe calibrates cross-conformally, which trains several times: nearkin.train(...)")
        if self.model.no_index:
            raise UsageError(
                f"unknown.way 'cross_conformal' calibrates an index, and there is none: {self.model.no_index}"
            )
        return self.folds(self.recipe, folder, self.watch)

    def _run(self, folder: RunFolder) -> None:
        trainer = Trainer(
            model=self.model,
            sampler=self.sampler,
            train=self.labelled("train"),
            select=self.labelled("select") if self.dataset.items["select"] else None,
            options=self.recipe.train,
            seed=self.recipe.seed,
            metrics=folder.metrics,
            checkpoints=folder.checkpoints,
            accelerator=self.accelerator,
            check=self.check,
            on_step=lambda now: self.watch.progress(str(now), now.step, now.total),
            on_warning=lambda sentence: self.watch.message(f"warning: {sentence}"),
        )
        trainer.restore()
        try:
            outcome = trainer.run()
        except Exception:
            if self.accelerator.is_main_process:
                folder.mark("failed")
            raise
        if self.accelerator.is_main_process:
            self._conclude(folder, outcome)
        self.accelerator.wait_for_everyone()

    def _conclude(self, folder: RunFolder, outcome: Outcome) -> None:
        standing = outcome.standing
        if outcome.ended == "interrupted":
            folder.mark("interrupted", step=standing.step)
            raise WorkFailed(
                f"interrupted after step {standing.step}; nothing is lost. "
                f"Continue with 'nearkin train --resume {folder.path}'."
            )
        self.model.to("cpu")
        # Images that chose the weights count as trained on: calibrating on them would flatter too.
        seen = [*self.dataset.items["train"], *self.dataset.items["select"]]
        self.model.trained_on |= frozenset(self.store.digests(seen))
        self.model.trained_groups |= frozenset(item.group for item in seen)
        if self.model.no_index:
            self.watch.message(f"this run has no index; its compare answers: {self.model.no_index}")
        else:
            cache = EmbeddingCache(folder.embeddings, self.model)
            index = build_index(self.recipe, self.registries, self.dataset, self.store, self.model, cache)
            if self.fold_indexes:
                index.calibrate_across(self.fold_indexes)
            save(index, folder.index, with_model=False)
        stopping = self.recipe.train.early_stopping
        target = stopping.target if stopping else None
        per_epoch = self.sampler.steps_per_epoch / self.accelerator.num_processes  # each takes batches of its own
        folder.finish(self.model.files(), **ending_facts(outcome, target, per_epoch))
        self.watch.message(told(outcome, target, per_epoch))


def _forewarnings(recipe: Recipe, model: Model) -> list[str]:
    """What a user should hear before training, not after."""
    notes, warmup = [], recipe.train.schedule.warmup
    if recipe.train.steps and warmup >= recipe.train.steps:
        notes.append(
            f"train.schedule.warmup, {warmup} steps, is as long as the training: the learning rate never reaches "
            "that of train.optimizer."
        )
    if model.no_index:
        notes.append(f"this run will have no index; its compare will answer: {model.no_index}")
    return notes


def _shared_store(accelerator: Accelerator, load: Callable[..., ImageStore]) -> ImageStore:
    """The images, once a machine, in a temporary folder whose name the first process of all tells."""
    told = [tempfile.mkdtemp(prefix="nearkin-") if accelerator.is_main_process else ""]
    broadcast_object_list(told)
    return load_once(
        lambda room: load(room=room),
        folder=Path(told[0]),
        first=accelerator.is_local_main_process,
        wait=accelerator.wait_for_everyone,
    )


def make_sampler(recipe: Recipe, registries: Registries, training: TrainingClasses, model: Model) -> Sampler:
    """The recipe's sampler over the training items, those of extra classes among them."""
    build = Build(
        seed=recipe.seed,
        classes=training.names,
        labels=training.codes,
        input=model.input,
        embedding_dim=model.backbone.embedding_dim,
    )
    return making.make_sampler(recipe.sampler, build, registries)
