"""What goes wrong while training, in plain sentences, from a few numbers of every tenth step.

A reading is of a batch's embeddings, which are there already: it costs a matrix product and small eigenvalues.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from nearkin.contracts import Active
from nearkin.model import Model

EVERY = 10
"""Steps between two readings."""
ALIKE = 0.02
"""Embeddings whose spread is this share of their length or less are all alike; untrained networks are above 0.1."""
LINE = 1.1
"""An effective rank up to this is one direction, give or take rounding."""
PERSISTS = 3
"""Readings in a row before embeddings are called alike or on a line: a batch may be odd."""
IDLE = 5
"""Readings in a row without an active pair or triplet."""
CONSTANT_STEPS = 50
CONSTANT_RANGE = 1e-6
"""Relative: the loss of other batches, or of moved weights, differs by more."""


def spread(embeddings: Tensor) -> float:
    """(b, d) -> [0, 1]: root mean square distance to the mean, as a share of the root mean square length."""
    length = embeddings.square().sum()
    apart = (embeddings - embeddings.mean(dim=0)).square().sum()
    return float((apart / length.clamp_min(torch.finfo(length.dtype).tiny)).sqrt())


def effective_rank(embeddings: Tensor) -> float:
    """(b, d) -> how many directions they fill: exp of the entropy of singular values about the mean.

    Roy and Vetterli 2007: The effective rank. 1 where all lie on a line, and where all are alike.
    """
    centered = (embeddings - embeddings.mean(dim=0)).cpu()
    gram = centered @ centered.T if len(centered) < centered.shape[1] else centered.T @ centered
    values = torch.linalg.eigvalsh(gram).clamp_min(0).sqrt()
    shares = values / values.sum().clamp_min(torch.finfo(values.dtype).tiny)
    return float(torch.special.entr(shares).sum().exp())


@torch.no_grad()
def reading(model: Model, embeddings: Tensor, labels: Tensor) -> dict[str, Any]:
    """What one batch shows, by name, for the step's line in metrics.jsonl: raw (b, d), (b,) class codes."""
    vectors = model.method.transform(embeddings.detach()).float()
    shown: dict[str, Any] = {"spread": spread(vectors)}
    # Neural collapse puts c classes on c points: two of them are on a line when all is well.
    if vectors.shape[1] > 1 and len(labels.unique()) > 2:  # type: ignore[no-untyped-call]  # torch's own
        shown["effective_rank"] = effective_rank(vectors)
    if isinstance(model.method, Active) and (active := model.method.activity()) is not None:
        shown["active"] = float(active)
    return shown


@dataclass
class Symptom:
    """Something seen in one reading after another."""

    shows: Callable[[Mapping[str, Any]], bool | None]
    """Whether it is in a line of metrics; `None` where the line does not say."""
    lasts: int
    told: Callable[[Mapping[str, Any], int], str]
    """The sentence, from the latest line and the step since when."""
    since: int | None = None
    seen: int = 0
    done: bool = False

    def read(self, line: Mapping[str, Any]) -> str | None:
        """The sentence, once, as soon as it has lasted."""
        now = self.shows(line)
        if now is None:
            return None
        self.since = (self.since or line["step"]) if now else None
        self.seen = self.seen + 1 if now else 0
        if self.done or self.since is None or self.seen < self.lasts:
            return None
        self.done = True
        return self.told(line, self.since)


def _alike(line: Mapping[str, Any]) -> bool | None:
    return line["spread"] <= ALIKE if "spread" in line else None


def _on_a_line(line: Mapping[str, Any]) -> bool | None:
    return line["effective_rank"] <= LINE and not _alike(line) if "effective_rank" in line else None


def _idle(line: Mapping[str, Any]) -> bool | None:
    return line["active"] == 0 if "active" in line else None


def _told_alike(line: Mapping[str, Any], since: int) -> str:
    return (
        f"all embeddings are alike since step {since}: lower train.optimizer.lr, or use another miner (semihard "
        "triplets rather than the hardest) or another loss."
    )


def _told_on_a_line(line: Mapping[str, Any], since: int) -> str:
    return (
        f"all embeddings lie on one line since step {since} (effective rank {line['effective_rank']:.2f}): lower "
        "train.optimizer.lr, or use a loss that spreads classes out, such as supcon or multi_similarity."
    )


def _told_idle(line: Mapping[str, Any], since: int) -> str:
    return (
        f"no pair or triplet has cost anything since step {since}, so nothing is learned from them: use a miner or a "
        "sampler that finds harder ones, raise the loss's margin, or train fewer steps."
    )


@dataclass
class ConstantLoss:
    """A loss that is the same whatever the batch."""

    first: float | None = None
    since: int = 0
    done: bool = False

    def read(self, line: Mapping[str, Any], explained: bool) -> str | None:
        """The sentence, once; not where another symptom says why the loss stays."""
        loss = float(line["loss"])
        if self.first is None or abs(loss - self.first) > CONSTANT_RANGE * abs(self.first):
            self.first, self.since = loss, line["step"]
        if self.done or explained or line["step"] - self.since < CONSTANT_STEPS:
            return None
        self.done = True
        return (
            f"the loss is {loss:.4g} at every step since {self.since}, whatever the batch: nothing is learned. "
            "Look at the loss and its options, at train.optimizer.lr, and at what the backbone leaves frozen."
        )


def _symptoms() -> tuple[Symptom, ...]:
    return (
        Symptom(_alike, PERSISTS, _told_alike),
        Symptom(_on_a_line, PERSISTS, _told_on_a_line),
        Symptom(_idle, IDLE, _told_idle),
    )


@dataclass
class Diagnosis:
    """Reads the lines of metrics.jsonl in order; a resumed run reads again what was written before."""

    symptoms: tuple[Symptom, ...] = field(default_factory=_symptoms)
    constant: ConstantLoss = field(default_factory=ConstantLoss)
    warnings: list[str] = field(default_factory=list)
    """Every sentence so far."""

    def read(self, line: Mapping[str, Any]) -> list[str]:
        """The sentences that this line completes."""
        said = [sentence for symptom in self.symptoms if (sentence := symptom.read(line))]
        explained = any(symptom.since is not None for symptom in self.symptoms)
        constant = self.constant.read(line, explained)
        said += [constant] if constant else []
        self.warnings += said
        return said
