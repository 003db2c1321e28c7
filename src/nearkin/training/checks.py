"""What components hand over while training, held to their contracts, with the component named where it breaks one."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nearkin.contracts import (
    Batch,
    Component,
    Episode,
    FloatArray,
    IntArray,
    Pairs,
    Sampler,
    Structure,
    StructureKind,
    Triplets,
)
from nearkin.errors import NearkinError, PluginError, blaming
from nearkin.model import Model
from nearkin.modes import evaluating, seeded
from nearkin.registry import Registries

STRUCTURES: Mapping[StructureKind, type] = {
    "labels": type(None),
    "pairs": Pairs,
    "triplets": Triplets,
    "episode": Episode,
}


@dataclass(frozen=True)
class BatchCheck:
    """Draws batches from a sampler and refuses what would train something else than was meant."""

    component: Component
    labels: IntArray
    """(n,) class codes of the training set."""

    def batch(self, sampler: Sampler, step: int) -> Batch:
        """The batch of a step, as the contract has it: positions in lists, tensors or narrow arrays become int64."""
        try:
            batch = sampler.batch(step)
            problem = self._problem(batch)
            if not problem:
                batch = _plain(batch)
                problem = _structure_problem(batch.structure, self.labels[batch.items])
        except NearkinError:
            raise
        # A plugin's sampler may raise, or return, anything.
        except Exception as error:
            problem = f"raised {type(error).__name__}: {error}".rstrip(": ")
            raise PluginError(self._told(step, problem)) from error
        if problem:
            raise PluginError(self._told(step, problem))
        return batch

    def _told(self, step: int, problem: str) -> str:
        return f"the sampler {self.component.qualified} {problem} (batch {step}): see nearkin.contracts."

    def _problem(self, batch: Any) -> str:
        """Why this is no batch of the declared kind with positions that there are, or nothing."""
        wanted = STRUCTURES[self.component.yields or "labels"]
        if not isinstance(batch, Batch) or not isinstance(batch.structure, wanted):
            given = batch.structure if isinstance(batch, Batch) else batch
            return f"says it yields {self.component.yields}, and gave a {type(given).__name__}"
        items, *parts = (np.asarray(part) for part in (batch.items, *(batch.structure or ())))
        for part in (items, *parts):
            if part.ndim != 1 or (part.size and part.dtype.kind not in "iu"):
                return f"gave {part.dtype} of shape {part.shape} where positions are wanted, (m,) whole numbers"
        if not len(items):
            return "gave a batch without items"
        if items.min() < 0 or items.max() >= len(self.labels):
            return f"named items outside the {len(self.labels)} training images"
        if len(np.unique(items)) != len(items):
            return "named an item twice in one batch; positions may repeat, items may not"
        if any(len(part) and (part.min() < 0 or part.max() >= len(items)) for part in parts):
            return f"points outside its own batch of {len(items)} items"
        return ""


def _plain(batch: Batch) -> Batch:
    """With arrays of int64, as torch takes them."""
    items, *parts = (np.ascontiguousarray(part, dtype=np.int64) for part in (batch.items, *(batch.structure or ())))
    return Batch(items, None if batch.structure is None else type(batch.structure)(*parts))


def _structure_problem(structure: Structure, labels: IntArray) -> str:
    """What is wrong with positions in a batch of items with these (m,) class codes."""
    if structure is None:
        return ""
    if isinstance(structure, Episode):
        return _episode_problem(structure, labels)
    one, same = structure[:2]
    other, different = structure[2:] if isinstance(structure, Pairs) else (structure.a, structure.n)
    if len(one) != len(same) or len(other) != len(different):
        return f"gave sides of {', '.join(str(len(part)) for part in structure)} positions, and each has its opposite"
    if not len(one) and not len(other):
        return f"gave no {type(structure).__name__.lower()} at all"
    if (one == same).any():
        return "pairs an image with itself"
    if (labels[one] != labels[same]).any():
        return "says of images of two classes that they are of one"
    return "says of images of one class that they are of two" if (labels[other] == labels[different]).any() else ""


def _episode_problem(episode: Episode, labels: IntArray) -> str:
    if not len(episode.support) or not len(episode.query):
        return f"gave an episode of {len(episode.support)} support images and {len(episode.query)} queries"
    if np.isin(episode.support, episode.query).any():
        return "has an image in both support and query"
    shown = np.isin(labels[episode.query], labels[episode.support])
    return "" if shown.all() else "asks about a class of which its support has no image"


def check_loss(loss: object, who: str) -> Tensor:
    """A scalar that gradients flow from, or `PluginError`."""
    if not isinstance(loss, Tensor) or loss.ndim != 0:
        given = f"a tensor of shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else f"a {type(loss).__name__}"
        raise PluginError(f"{who} gave {given} as its loss; it must be a scalar tensor.")
    if not loss.requires_grad:
        raise PluginError(f"{who} gave a loss that no gradient flows from: it does not depend on the embeddings.")
    return loss


def check_first_batch(model: Model, batch: Batch, labels: IntArray) -> None:
    """Ask for the loss of the first batch before any step: one that cannot use such batches is found out now.

    Of drawn embeddings, as only who is with whom is asked about, and by a copy, as a loss may remember batches.
    """
    try:
        method = deepcopy(model.method)
    # A plugin's may hold anything; what cannot be copied is found out at the first step.
    except Exception:
        return
    structure = batch.structure and type(batch.structure)(*map(torch.from_numpy, batch.structure))
    with seeded(0), blaming(model.blueprint.said):
        drawn = torch.randn(len(batch.items), model.backbone.embedding_dim, requires_grad=True)
        loss = method.loss(drawn, torch.from_numpy(labels[batch.items]), structure)
    check_loss(loss, f"the method {model.blueprint.method.type} (with its loss)")


def check_embedding(model: Model, images: FloatArray, registries: Registries) -> None:
    """Embed images before the first step: a backbone of another size than it says, or a NaN, is found out now."""
    kinds = dict.fromkeys(registries.of("backbone").get(one.type).qualified for one in model.blueprint.backbones)
    backbone = f"the backbone {' + '.join(kinds)}"
    with evaluating(model), torch.inference_mode(), blaming(backbone):
        raw = model.raw(torch.from_numpy(images))
    _check_rows(raw, (len(images), model.backbone.embedding_dim), backbone)
    made = torch.from_numpy(model.embed_tensor(images))
    method = registries.of("method").get(model.blueprint.method.type).qualified
    _check_rows(made, (len(images), model.embedding_dim), f"the transform of the method {method}")


def _check_rows(made: object, wanted: tuple[int, int], who: str) -> None:
    """(n, d) embeddings of the first training images, or `PluginError`."""
    given = tuple(made.shape) if isinstance(made, Tensor) else type(made).__name__
    if given != wanted:
        raise PluginError(f"{who} made embeddings of shape {given}; it says {wanted}.")
    if isinstance(made, Tensor) and not made.isfinite().all():
        raise PluginError(f"{who} made NaN or infinite numbers of the first training images, before any training.")
