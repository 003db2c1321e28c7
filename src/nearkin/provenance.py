"""What a run was made with: versions, and whose components."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, cast

from nearkin.contracts import Kind
from nearkin.recipe import Recipe
from nearkin.registry import Registries

CIRCUMSTANCES = ("versions", "components", "device", "cpu", "threads", "processes")
"""The facts of a run's manifest that its weights may follow to the last bits, besides its recipe and images."""


def changed(was: Mapping[str, Any], now: Mapping[str, Any], *others: str) -> list[str]:
    """The circumstances, and `others` among the facts, that are not what they were; older runs lack some."""
    return [name for name in (*CIRCUMSTANCES, *others) if name in was and was[name] != now[name]]


def versions() -> dict[str, str]:
    """What the figures of a run may depend on."""
    names = ("nearkin", "torch", "numpy", "faiss-cpu", "pillow", "pytorch-metric-learning", "accelerate")
    return {"python": platform.python_version(), **{name: _version(name) for name in names}}


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"


def component_facts(recipe: Recipe, registries: Registries) -> list[dict[str, str]]:
    """Which distribution each of the recipe's components came from, with its version."""
    backbones = [section.selection for section in recipe.backbones]
    chosen = [*backbones, recipe.method, recipe.sampler, recipe.loss, recipe.score, recipe.engine, *recipe.evaluate]
    parts = [registries.of(c.kind).get(c.type) for c in chosen if c is not None]
    facts = {
        p.qualified + p.kind: {"kind": p.kind, "name": p.name, "from": p.distribution, "version": p.version}
        for p in parts
    }
    return [facts[key] for key in sorted(facts)]


def perhaps_changed(parts: Sequence[Mapping[str, str]], registries: Registries) -> list[Mapping[str, str]]:
    """Those of a run's components that are not as they were: of another version, or of several plugins by now.

    A local file's always: nothing says its version.
    """

    def here(part: Mapping[str, str]) -> list[tuple[str, str]]:
        return [(one.distribution, one.version) for one in registries.of(cast(Kind, part["kind"])).named(part["name"])]

    return [part for part in parts if part["version"] == "local" or here(part) != [(part["from"], part["version"])]]
