"""The index: labelled embeddings, answered exactly, with a promise about what it calls unknown."""

from __future__ import annotations

from nearkin.index.index import Index
from nearkin.index.opening import load, save

__all__ = ["Index", "load", "save"]
