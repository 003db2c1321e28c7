"""Writes a recipe out in full: every default filled in, in the order that people write it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nearkin.recipe.model import BackboneSection, Recipe, Selection
from nearkin.recipe.yaml_text import write_yaml


def resolved(recipe: Recipe) -> dict[str, Any]:
    """The recipe as plain data: text keys, lists, numbers, text, true, false, None."""
    written = {
        "name": recipe.name,
        "seed": recipe.seed,
        "data": recipe.data.model_dump(mode="json"),
        "backbone": _backbones(recipe.backbones),
        "method": _section(recipe.method),
        "sampler": _section(recipe.sampler),
        "loss": _section(recipe.loss) if recipe.loss else None,
        "train": recipe.train.model_dump(mode="json"),
        "embed": recipe.embed.model_dump(mode="json"),
        "index": {**recipe.index.model_dump(mode="json", exclude={"k"}), "engine": _section(recipe.engine)},
        "unknown": {"score": _section(recipe.score), **recipe.unknown.model_dump(mode="json")},
        "evaluate": [_section(selection) for selection in recipe.evaluate],
    }
    return {key: value for key, value in written.items() if key != "loss" or value is not None}


def to_yaml(recipe: Recipe) -> str:
    """Text that reads back to the same recipe."""
    return write_yaml(resolved(recipe))


def _backbones(sections: Sequence[BackboneSection]) -> Any:
    """One as a section, several as a list of them."""
    written = [_section(one.selection) | _warm_start(one.init_from) for one in sections]
    return written[0] if len(written) == 1 else written


def _warm_start(runs: tuple[str, ...]) -> dict[str, Any]:
    """One run as text, several as a list."""
    return {"init_from": runs[0] if len(runs) == 1 else list(runs)} if runs else {}


def _section(selection: Selection) -> dict[str, Any]:
    return {"type": selection.type, **selection.options.model_dump(mode="json", by_alias=True)}
