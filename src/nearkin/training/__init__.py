"""Training: from a recipe to a run folder with a model and an index in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nearkin.training.pipeline import resume as resume
    from nearkin.training.pipeline import train as train

__all__ = ["resume", "train"]


def __getattr__(name: str) -> Any:
    """Loaded on first use: a progress bar alone needs no accelerate."""
    if name not in __all__:
        raise AttributeError(f"module 'nearkin.training' has no attribute {name!r}")
    from nearkin.training import pipeline

    return getattr(pipeline, name)
