"""What a loss's options say of the loss before it is built: how it compares, whether it mines, whether it learns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from nearkin.contracts.types import Metric, Options, StructureKind

Normalize: TypeAlias = bool | Literal["l1"]
"""`true`: to unit L2 length; `l1`: to unit L1 length; `false`: left as they are."""


@dataclass(frozen=True)
class Comparison:
    """How a loss compares two embeddings."""

    said: str
    """In the recipe's words, for errors: `the distance snr`."""
    metric: Metric | None
    """The index's metric that ranks as the loss does; `None` where none does."""
    normalize: Normalize = True
    """What the loss does to embeddings before it compares them."""


class LossOptions(Options):
    """The base of a loss's options that say more of the loss than its name does. Plain `Options` say nothing."""

    def comparison(self) -> Comparison | None:
        """How it compares; a method that follows its loss takes this. `None`: not said, the method decides."""
        return None

    def mining_key(self) -> str | None:
        """The key that makes the loss find pairs or triplets itself: its batches must then be labels alone."""
        return None

    def idle_key(self, structure: StructureKind) -> str | None:
        """A key that was given and has no effect on batches of this structure: a recipe with it is refused."""
        return None

    def learns(self) -> bool | None:
        """Whether the loss has weights of its own. `None`: not said."""
        return None


class ComparisonOptions(Options):
    """The base of a method's options that compares as its loss does, unless it is told."""

    metric: Metric | None = None
    """How the index compares. Left out: as the loss's distance does, or `index.metric`."""
    normalize: Normalize | None = None
    """Embeddings to unit length: `true` for L2, `l1` for L1. Left out: as the loss's distance does."""
