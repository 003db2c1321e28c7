"""FAISS itself, loaded on first use."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def faiss_module() -> Any:
    """The module; untyped, as its stubs leave out much of what it has."""
    return import_module("faiss")
