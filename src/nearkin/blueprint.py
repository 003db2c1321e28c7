"""The blueprint: all that it takes to build a model again, weights apart, and how model.json says it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nearkin.recipe.model import EmbedOptions, Recipe, Selection
from nearkin.recipe.preparation import Preparation
from nearkin.registry import Registries


@dataclass(frozen=True)
class Blueprint:
    """All that it takes to build the model again, weights apart."""

    seed: int
    classes: tuple[str, ...]
    backbone: Selection
    method: Selection
    loss: Selection | None
    embed: EmbedOptions = field(default_factory=EmbedOptions)
    preparation: Preparation = field(default_factory=Preparation)

    @classmethod
    def of(cls, recipe: Recipe, classes: tuple[str, ...]) -> Blueprint:
        """What a recipe asks for."""
        parts = recipe.backbone, recipe.method, recipe.loss
        return cls(recipe.seed, classes, *parts, recipe.embed, recipe.data.preparation)


def plain(blueprint: Blueprint) -> dict[str, Any]:
    """As JSON."""

    def selection(chosen: Selection | None) -> dict[str, Any] | None:
        if chosen is None:
            return None
        return {"type": chosen.type, "options": chosen.options.model_dump(mode="json")}

    return {
        "seed": blueprint.seed,
        "classes": list(blueprint.classes),
        **{name: selection(getattr(blueprint, name)) for name in ("backbone", "method", "loss")},
        "embed": blueprint.embed.model_dump(mode="json"),
        **blueprint.preparation.plain(),
    }


def described(description: Mapping[str, Any], registries: Registries) -> Blueprint:
    """Of what `plain` said, by this version or an earlier one. `ValueError` or `KeyError` where it cannot be."""

    def selection(kind: Any) -> Selection | None:
        said = description[kind]
        if said is None:
            return None
        options = registries.of(kind).get(said["type"]).options
        return Selection(kind, said["type"], options.model_validate_json(json.dumps(said["options"])))

    backbone, method = selection("backbone"), selection("method")
    if backbone is None or method is None:
        raise ValueError("it names no backbone or no method")
    embed = EmbedOptions.model_validate_json(json.dumps(description.get("embed", {})))
    return Blueprint(
        description["seed"],
        tuple(description["classes"]),
        backbone,
        method,
        selection("loss"),
        embed,
        Preparation.described(description),
    )
