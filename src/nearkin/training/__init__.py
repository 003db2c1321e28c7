"""Training: from a recipe to a run folder with a model and an index in it."""

from __future__ import annotations

from nearkin.training.pipeline import resume, train

__all__ = ["resume", "train"]
