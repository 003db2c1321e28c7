"""The JSON Schema of recipes, for editors that complete and check while one types."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from nearkin.contracts import Component, Kind
from nearkin.recipe.data_options import DataOptions
from nearkin.recipe.model import EmbedOptions, IndexOptions
from nearkin.recipe.read import KEYS, Head
from nearkin.recipe.train_options import TrainOptions
from nearkin.recipe.unknown_options import UnknownOptions
from nearkin.registry import Registries, Registry


def json_schema(registries: Registries) -> dict[str, Any]:
    """A schema that knows every registered component and its options."""
    components = [component for registry in registries.all() for component in registry]
    models: list[type[BaseModel]] = [
        Head,
        DataOptions,
        TrainOptions,
        EmbedOptions,
        IndexOptions,
        UnknownOptions,
        *(c.options for c in components),
    ]
    refs, shared = models_json_schema([(model, "validation") for model in dict.fromkeys(models)])
    definitions = shared["$defs"]

    def defined(model: type[BaseModel]) -> dict[str, Any]:
        found: dict[str, Any] = definitions[refs[model, "validation"]["$ref"].rpartition("/")[2]]
        return found

    def one_of(kind: Kind) -> dict[str, Any]:
        registry = registries.of(kind)
        sections = [_section(one, _names(registry, one), defined(one.options)) for one in registry]
        return {"oneOf": sections} if sections else {"not": {}}

    def with_score() -> dict[str, Any]:
        section = defined(UnknownOptions)
        return {**section, "properties": {"score": one_of("score"), **section["properties"]}}

    def with_engine() -> dict[str, Any]:
        section, engine = defined(IndexOptions), one_of("engine")
        names = {one.qualified: _names(registries.engine, one) for one in registries.engine}
        named = {"enum": [name for some in names.values() for name in some]}
        nested = {**section, "properties": {**section["properties"], "engine": {"anyOf": [named, engine]}}}
        return {"anyOf": [nested, *(beside(section, one, names[one.qualified]) for one in registries.engine)]}

    def beside(section: dict[str, Any], component: Component, names: list[str]) -> dict[str, Any]:
        """The index's own keys with one engine's options among them."""
        options = defined(component.options)
        properties = {**options.get("properties", {}), **section["properties"], "engine": {"enum": names}}
        return {**section, "properties": properties, "required": ["engine", *options.get("required", [])]}

    properties = {
        **defined(Head)["properties"],
        "data": refs[DataOptions, "validation"],
        "backbone": _with_init_from(one_of("backbone")),
        "method": one_of("method"),
        "sampler": one_of("sampler"),
        "loss": {"anyOf": [one_of("loss"), {"type": "null"}]},
        "train": refs[TrainOptions, "validation"],
        "embed": refs[EmbedOptions, "validation"],
        "index": with_engine(),
        "unknown": with_score(),
        "evaluate": {"type": "array", "items": one_of("evaluator")},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "nearkin recipe",
        "type": "object",
        "properties": {key: properties[key] for key in KEYS},
        "required": ["name", "data", "backbone", "method", "sampler", "train"],
        "additionalProperties": False,
        "$defs": definitions,
    }


def _with_init_from(backbones: dict[str, Any]) -> dict[str, Any]:
    """A backbone may begin as another run's; then all else may be left out. Several stand side by side in a list."""
    told = "The folder of the run to begin from, or of several, for the mean of their weights."
    several = {"type": "array", "items": {"type": "string"}, "uniqueItems": True}
    run = {"init_from": {"anyOf": [{"type": ["string", "null"]}, several], "description": told}}
    alone = {"type": "object", "properties": run, "required": ["init_from"], "not": {"required": ["type"]}}
    sections = [{**one, "properties": {**one["properties"], **run}} for one in backbones.get("oneOf", [])]
    one = {"anyOf": [{"oneOf": sections} if sections else backbones, alone]}
    side_by_side = {"type": "array", "items": one, "minItems": 2, "description": "Several backbones side by side."}
    return {"anyOf": [*one["anyOf"], side_by_side]}


def _names(registry: Registry, component: Component) -> list[str]:
    """What a recipe may call it: the bare name only where that means no other."""
    return [component.qualified, *([component.name] if registry.named(component.name) == [component] else [])]


def _section(component: Component, names: list[str], options: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "description": component.summary,
        "properties": {"type": {"enum": names}, **options.get("properties", {})},
        "required": ["type", *options.get("required", [])],
        "additionalProperties": False,
    }
