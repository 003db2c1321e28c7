"""What the contract suites feed to components: small, seeded, made here."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from nearkin.contracts import Build, Episode, Pairs, Structure, StructureKind, Triplets

DIMS = 8
CLASSES = ("ant", "bee", "cat")
LABELS = np.repeat(np.arange(3), 4)
"""(12,) class codes: four items of each."""


def a_build(**changes: Any) -> Build:
    """Surroundings as a run would give them."""
    facts: dict[str, Any] = {"seed": 0, "classes": CLASSES, "labels": LABELS, "embedding_dim": DIMS, **changes}
    return Build(**facts)


def embeddings(count: int = len(LABELS), *, seed: int = 0, dims: int = DIMS) -> Tensor:
    """(count, dims) drawn from a standard normal."""
    return torch.randn(count, dims, generator=torch.Generator().manual_seed(seed))


def structure_of(kind: StructureKind) -> Structure:
    """A structure over the twelve items of `LABELS`, as tensors."""
    t = torch.tensor
    if kind == "pairs":
        return Pairs(t([0, 4, 8]), t([1, 5, 9]), t([0, 4, 8]), t([4, 8, 0]))
    if kind == "triplets":
        return Triplets(t([0, 4, 8]), t([1, 5, 9]), t([4, 8, 0]))
    if kind == "episode":
        return Episode(t([0, 1, 4, 5, 8, 9]), t([2, 3, 6, 7, 10, 11]))
    return None
