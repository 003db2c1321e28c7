"""The blueprint: all that it takes to build a model again, weights apart, and how model.json says it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter

from nearkin.contracts import Kind
from nearkin.errors import UsageError
from nearkin.recipe.model import EmbedOptions, Recipe, Selection
from nearkin.recipe.preparation import Preparation
from nearkin.recipe.space import SpacePart, parts_of
from nearkin.registry import Registries

SPACE: TypeAdapter[tuple[SpacePart, ...]] = TypeAdapter(tuple[SpacePart, ...])


@dataclass(frozen=True)
class Blueprint:
    """All that it takes to build the model again, weights apart."""

    seed: int
    classes: tuple[str, ...]
    backbones: tuple[Selection, ...]
    """One, or several side by side."""
    method: Selection
    loss: Selection | None
    embed: EmbedOptions = field(default_factory=EmbedOptions)
    preparation: Preparation = field(default_factory=Preparation)
    space: tuple[SpacePart, ...] = ()
    """Where the outlier score looks, part by part; nothing where it is the embedding."""
    rotation: float | None = None
    """The weight of the task of telling turns, where it trains too."""

    @classmethod
    def of(cls, recipe: Recipe, classes: tuple[str, ...]) -> Blueprint:
        """What a recipe asks for."""
        backbones = tuple(section.selection for section in recipe.backbones)
        parts = backbones, recipe.method, recipe.loss
        space = parts_of(recipe.unknown.space)
        rotation = recipe.train.rotation
        return cls(recipe.seed, classes, *parts, recipe.embed, recipe.data.preparation, space, rotation)

    @property
    def said(self) -> str:
        """Its parts, as an error names them."""
        kinds = (*self.backbones, self.method, *([self.loss] if self.loss else []))
        return "the " + " with the ".join(f"{one.kind} {one.type}" for one in kinds)

    def refuse_what_needs_an_index(self, why_none: str) -> None:
        """`UsageError` for what a method cannot have whose answers no stored vectors give."""
        asked = {
            "embed.join 'concat' does": (self.embed.join == "concat", "Use 'mean'."),
            "embed.rotations do": (self.embed.rotations, "Leave them out."),
            "unknown.space does": (self.space, "Leave it out."),
        }
        for what, (given, mend) in asked.items():
            if given:
                raise UsageError(f"{what} not go with this method: {why_none} {mend}")


def plain(blueprint: Blueprint) -> dict[str, Any]:
    """As JSON: one backbone as a section, several as a list."""
    backbones = [_plain(chosen) for chosen in blueprint.backbones]
    return {
        "seed": blueprint.seed,
        "classes": list(blueprint.classes),
        "backbone": backbones[0] if len(backbones) == 1 else backbones,
        "method": _plain(blueprint.method),
        "loss": _plain(blueprint.loss) if blueprint.loss else None,
        "embed": blueprint.embed.model_dump(mode="json", exclude=None if blueprint.embed.rotations else {"rotations"}),
        **blueprint.preparation.plain(),
        **({"space": SPACE.dump_python(blueprint.space, mode="json")} if blueprint.space else {}),
        **({"rotation": blueprint.rotation} if blueprint.rotation else {}),
    }


def _plain(chosen: Selection) -> dict[str, Any]:
    return {"type": chosen.type, "options": chosen.options.model_dump(mode="json", by_alias=True)}


def described(description: Mapping[str, Any], registries: Registries) -> Blueprint:
    """Of what `plain` said, by this version or an earlier one. `ValueError` or `KeyError` where it cannot be."""

    def selection(kind: Kind, said: Mapping[str, Any]) -> Selection:
        options = registries.of(kind).get(said["type"]).options
        return Selection(kind, said["type"], options.model_validate_json(json.dumps(said["options"])))

    backbone, method, loss = (description[kind] for kind in ("backbone", "method", "loss"))
    if not backbone or not method:
        raise ValueError("it names no backbone or no method")
    return Blueprint(
        description["seed"],
        tuple(description["classes"]),
        tuple(selection("backbone", one) for one in (backbone if isinstance(backbone, list) else [backbone])),
        selection("method", method),
        selection("loss", loss) if loss else None,
        EmbedOptions.model_validate_json(json.dumps(description.get("embed", {}))),
        Preparation.described(description),
        SPACE.validate_json(json.dumps(description.get("space", []))),
        float(description["rotation"]) if "rotation" in description else None,
    )
