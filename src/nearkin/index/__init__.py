"""The index: labelled embeddings, answered exactly, with a promise about what it calls unknown.

Names are loaded on first use: listing the built-in engines loads no numpy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nearkin.index.index import Index as Index
    from nearkin.index.opening import edit as edit
    from nearkin.index.opening import load as load
    from nearkin.index.opening import save as save
    from nearkin.index.space import Space as Space

_HOME = {
    "Index": "nearkin.index.index",
    "edit": "nearkin.index.opening",
    "load": "nearkin.index.opening",
    "save": "nearkin.index.opening",
    "Space": "nearkin.index.space",
}

__all__ = ["Index", "Space", "edit", "load", "save"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'nearkin.index' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
