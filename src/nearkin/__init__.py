"""nearkin: metric learning from a handful of images per class, answered from a FAISS index.

Names are loaded on first use, so that `import nearkin` costs nothing and a plugin module needs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nearkin.contracts import Answer as Answer
    from nearkin.contracts import Embedded as Embedded
    from nearkin.contracts import Options as Options
    from nearkin.errors import NearkinError as NearkinError
    from nearkin.evaluation import evaluate as evaluate
    from nearkin.experiments import compare as compare
    from nearkin.experiments.cross_conformal import resume as resume
    from nearkin.experiments.cross_conformal import train as train
    from nearkin.hookspecs import hookimpl as hookimpl
    from nearkin.index import Index as Index
    from nearkin.indexes import edit_index as edit_index
    from nearkin.indexes import load_index as load_index
    from nearkin.plugins import engine as engine
    from nearkin.plugins import load_registries as load_registries
    from nearkin.plugins import score as score
    from nearkin.run import Run as Run
    from nearkin.run import load_run as load_run

_HOME = {
    "Answer": "nearkin.contracts",
    "Embedded": "nearkin.contracts",
    "Index": "nearkin.index",
    "NearkinError": "nearkin.errors",
    "Options": "nearkin.contracts",
    "Run": "nearkin.run",
    "compare": "nearkin.experiments",
    "edit_index": "nearkin.indexes",
    "engine": "nearkin.plugins",
    "score": "nearkin.plugins",
    "evaluate": "nearkin.evaluation",
    "hookimpl": "nearkin.hookspecs",
    "load_index": "nearkin.indexes",
    "load_registries": "nearkin.plugins",
    "load_run": "nearkin.run",
    "resume": "nearkin.experiments.cross_conformal",
    "train": "nearkin.experiments.cross_conformal",
}

__version__ = "0.1.0"
__all__ = [
    "Answer",
    "Embedded",
    "Index",
    "NearkinError",
    "Options",
    "Run",
    "__version__",
    "compare",
    "edit_index",
    "engine",
    "evaluate",
    "hookimpl",
    "load_index",
    "load_registries",
    "load_run",
    "resume",
    "score",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'nearkin' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
