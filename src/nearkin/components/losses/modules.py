"""A loss of the library as a module of ours: it mines, keeps what it remembers, and tells how much still teaches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from pytorch_metric_learning.losses import CrossBatchMemory
from torch import Tensor, nn

from nearkin.errors import WorkFailed


class LossModule(nn.Module):
    """(b, d), (b,), structure -> scalar, by a loss of the library over what it is given or what its miner finds."""

    loss: Any

    def __init__(self, name: str, loss: nn.Module, miner: nn.Module | None) -> None:
        super().__init__()
        self.name = name
        self.loss = loss
        self.miner = miner
        self._of_tuples: list[Tensor] | None = None
        learner: Any = loss.loss if isinstance(loss, CrossBatchMemory) else loss
        learner.reducer.register_forward_pre_hook(self._remember)

    def forward(self, embeddings: Tensor, labels: Tensor, indices_tuple: Any = None) -> Tensor:
        """(b, d), (b,) class codes, Pairs or Triplets or None -> scalar."""
        try:
            if self.miner is not None:
                indices_tuple = self.miner(embeddings, labels)
            made: Tensor = self.loss(embeddings, labels, indices_tuple)
        except torch.OutOfMemoryError:
            raise
        # The library asserts and indexes; whichever it was, the batch and the loss do not go together.
        except (AssertionError, IndexError, RuntimeError, ValueError) as error:
            raise self._refusal(labels, str(error)) from error
        return made

    def activity(self) -> float | None:
        """The share of the last batch's pairs or triplets whose loss is above zero; `None` for a loss of other things.

        0 where it found none.
        """
        if self._of_tuples is None:
            return None
        active = sum(int((losses > 0).sum()) for losses in self._of_tuples)
        return active / max(1, sum(losses.numel() for losses in self._of_tuples))

    def _remember(self, reducer: nn.Module, arguments: tuple[Any, ...]) -> None:
        terms = arguments[0].values()
        # Where the library finds no pair or triplet it hands on plain zeros.
        found = [term["losses"].detach() for term in terms if torch.is_tensor(term["losses"]) and _of_tuples(term)]
        if found or any(_of_tuples(term) or isinstance(term["losses"], int) for term in terms):
            self._of_tuples = found

    def _refusal(self, labels: Tensor, reason: str) -> WorkFailed:
        found = f"{len(labels)} images of {len(set(labels.tolist()))} classes"
        return WorkFailed(
            f"the loss {self.name} cannot use this batch ({found}): {reason.strip().rstrip('.') or 'no reason given'}."
        )


class StatefulLoss(LossModule):
    """A loss that remembers something in plain attributes, which a checkpoint must hold too."""

    remembered: tuple[str, ...] = ("hist_",)

    def forward(self, embeddings: Tensor, labels: Tensor, indices_tuple: Any = None) -> Tensor:
        """(b, d), (b,), structure -> scalar."""
        made = super().forward(embeddings, labels, indices_tuple)
        # The library's histogram keeps the graph of the steps before, which backward has freed.
        for name in self.remembered:
            if isinstance(now := getattr(self.loss, name), Tensor):
                setattr(self.loss, name, now.detach())
        return made

    def get_extra_state(self) -> Tensor:
        """All of it in one row: of counts and flags, or of numbers."""
        return torch.cat([torch.as_tensor(getattr(self.loss, name)).flatten() for name in self.remembered])

    def set_extra_state(self, state: Tensor) -> None:
        """The reverse."""
        for name in self.remembered:
            now = getattr(self.loss, name)
            size = now.numel() if isinstance(now, Tensor) else 1
            part, state = state[:size], state[size:]
            same = part.reshape(now.shape).to(now) if isinstance(now, Tensor) else type(now)(part.item())
            setattr(self.loss, name, same)


class MemoryLoss(StatefulLoss):
    """Cross-batch memory around a loss. The embeddings are buffers; how full it is, the library keeps beside them."""

    remembered = ("queue_idx", "has_been_filled")

    def forward(self, embeddings: Tensor, labels: Tensor, indices_tuple: Any = None) -> Tensor:
        """(b, d), (b,) -> scalar, against this batch and the remembered ones."""
        if len(labels) > self.loss.memory_size:
            reason = f"memory.size is {self.loss.memory_size}, less than a batch. Raise it, to several batches"
            raise self._refusal(labels, reason)
        return super().forward(embeddings, labels, indices_tuple)


class SmoothApLoss(LossModule):
    """Smooth-AP on batches that the library gets right.

    Version 2.9.0 takes a batch for sorted by class, and confuses the number of classes with that of images of each:
    it is right where both are equal.
    """

    def forward(self, embeddings: Tensor, labels: Tensor, indices_tuple: Any = None) -> Tensor:
        """(b, d), (b,) in any order -> scalar."""
        counts = torch.unique(labels, return_counts=True)[1]
        if not bool((counts == len(counts)).all()):
            reason = "it needs as many classes as images of each, for instance 8 of 8"
            raise self._refusal(labels, reason)
        order = torch.argsort(labels, stable=True)
        return super().forward(embeddings[order], labels[order], indices_tuple)


def _of_tuples(term: Mapping[str, Any]) -> bool:
    return term["reduction_type"] in ("pos_pair", "neg_pair", "triplet")


def keep_within(distance: nn.Module, bound: float) -> None:
    """Similarities a rounding error beyond the bound, of embeddings all but equal, are put back inside it.

    The histogram loss of the library has no bin for them, and would end the training with an index out of range.
    """
    inside = bound - 1e-6
    distance.register_forward_hook(lambda _module, _arguments, similarities: similarities.clamp(-inside, inside))
