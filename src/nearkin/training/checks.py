"""What components hand over while training, held to their contracts, with the component named where it breaks one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from nearkin.contracts import Batch, Component, Episode, FloatArray, Pairs, Sampler, StructureKind, Triplets
from nearkin.errors import NearkinError, PluginError
from nearkin.model import Model
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
    n_items: int
    """In the training set."""

    def batch(self, sampler: Sampler, step: int) -> Batch:
        """The batch of a step, as the contract has it."""
        try:
            batch = sampler.batch(step)
            problem = self._problem(batch)
        except NearkinError:
            raise
        # A plugin's sampler may raise, or return, anything.
        except Exception as error:
            problem = f"raised {type(error).__name__}: {error}"
            raise PluginError(self._told(step, problem)) from error
        if problem:
            raise PluginError(self._told(step, problem))
        return batch

    def _told(self, step: int, problem: str) -> str:
        return f"the sampler {self.component.qualified} {problem} (batch {step}): see nearkin.contracts."

    def _problem(self, batch: Batch) -> str:
        """Why this is no batch of the declared kind, or nothing."""
        wanted = STRUCTURES[self.component.yields or "labels"]
        if not isinstance(batch, Batch) or not isinstance(batch.structure, wanted):
            given = batch.structure if isinstance(batch, Batch) else batch
            return f"says it yields {self.component.yields}, and gave a {type(given).__name__}"
        items = np.asarray(batch.items)
        if not len(items) or items.min() < 0 or items.max() >= self.n_items:
            return f"named items outside the {self.n_items} training images"
        if len(np.unique(items)) != len(items):
            return "named an item twice in one batch; positions may repeat, items may not"
        return _structure_problem(batch, len(items))


def _structure_problem(batch: Batch, n: int) -> str:
    structure = batch.structure
    if structure is None:
        return ""
    if any(len(part) and (part.min() < 0 or part.max() >= n) for part in structure):
        return f"points outside its own batch of {n} items"
    if isinstance(structure, Episode):
        return "has an image in both support and query" if np.isin(structure.support, structure.query).any() else ""
    return "pairs an image with itself" if (structure[0] == structure[1]).any() else ""


def check_loss(loss: object, who: str) -> Tensor:
    """A scalar that gradients flow from, or `PluginError`."""
    if not isinstance(loss, Tensor) or loss.ndim != 0:
        given = f"a tensor of shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else f"a {type(loss).__name__}"
        raise PluginError(f"{who} gave {given} as its loss; it must be a scalar tensor.")
    if not loss.requires_grad:
        raise PluginError(f"{who} gave a loss that no gradient flows from: it does not depend on the embeddings.")
    return loss


def check_embedding(model: Model, images: FloatArray, registries: Registries) -> None:
    """Embed an image before the first step, so that a backbone of another size than it says is found out now."""
    made, wanted = model.embed_tensor(images).shape, (len(images), model.embedding_dim)
    if made != wanted:
        kinds = dict.fromkeys(registries.of("backbone").get(one.type).qualified for one in model.blueprint.backbones)
        raise PluginError(f"the backbone {' + '.join(kinds)} made embeddings of shape {made}; it says {wanted}.")
