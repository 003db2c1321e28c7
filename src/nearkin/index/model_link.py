"""The model that an index's embeddings come from: what embeds images, its files, its hash."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from nearkin.contracts import Embed

ModelFiles: TypeAlias = Callable[[], Mapping[str, bytes]]


@dataclass(frozen=True)
class ModelLink:
    """The index knows nothing of backbones: it is handed these."""

    embed: Embed | None = None
    """Images to embeddings; `None` where the index takes embeddings alone."""
    files: ModelFiles | None = None
    """What `save` takes along."""
    digest: str = ""
    """Empty where nobody said."""
