"""The JSON Schema of recipes, for editors that complete and check while one types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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

SECTIONS: tuple[type[BaseModel], ...] = (
    Head,
    DataOptions,
    TrainOptions,
    EmbedOptions,
    IndexOptions,
    UnknownOptions,
)
"""Whose options are the same whatever is registered."""


def json_schema(registries: Registries) -> dict[str, Any]:
    """A schema that knows every registered component and its options."""
    options = _Definitions.of(registries)
    properties = {
        **options.of_model(Head)["properties"],
        "data": options.reference(DataOptions),
        "backbone": _with_init_from(options.of_kind("backbone")),
        "method": options.of_kind("method"),
        "sampler": options.of_kind("sampler"),
        "loss": {"anyOf": [options.of_kind("loss"), {"type": "null"}]},
        "train": options.reference(TrainOptions),
        "embed": options.reference(EmbedOptions),
        "index": options.index(),
        "unknown": options.unknown(),
        "evaluate": {"type": "array", "items": options.of_kind("evaluator")},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "nearkin recipe",
        "type": "object",
        "properties": {key: properties[key] for key in KEYS},
        "required": ["name", "data", "backbone", "method", "sampler", "train"],
        "additionalProperties": False,
        "$defs": options.definitions,
    }


@dataclass(frozen=True)
class _Definitions:
    """The options of every section and of every component, as schemas."""

    registries: Registries
    references: Mapping[Any, dict[str, Any]]
    """By (model, "validation"), as pydantic names them."""
    definitions: dict[str, Any]
    """What the references lead to."""

    @classmethod
    def of(cls, registries: Registries) -> _Definitions:
        components = [component for registry in registries.all() for component in registry]
        models = dict.fromkeys([*SECTIONS, *(component.options for component in components)])
        references, shared = models_json_schema([(model, "validation") for model in models])
        return cls(registries, references, shared["$defs"])

    def reference(self, model: type[BaseModel]) -> dict[str, Any]:
        return self.references[model, "validation"]

    def of_model(self, model: type[BaseModel]) -> dict[str, Any]:
        found: dict[str, Any] = self.definitions[self.reference(model)["$ref"].rpartition("/")[2]]
        return found

    def of_kind(self, kind: Kind) -> dict[str, Any]:
        """A section that names a component of that kind, with its options."""
        registry = self.registries.of(kind)
        sections = [_section(one, _names(registry, one), self.of_model(one.options)) for one in registry]
        return {"oneOf": sections} if sections else {"not": {}}

    def unknown(self) -> dict[str, Any]:
        section = self.of_model(UnknownOptions)
        return {**section, "properties": {"score": self.of_kind("score"), **section["properties"]}}

    def index(self) -> dict[str, Any]:
        """The engine is a name, a section of its own, or a name with its options among the index's keys."""
        section, engines = self.of_model(IndexOptions), self.registries.engine
        names = {one.qualified: _names(engines, one) for one in engines}
        named = {"enum": [name for some in names.values() for name in some]}
        engine = {"anyOf": [named, self.of_kind("engine")]}
        nested = {**section, "properties": {**section["properties"], "engine": engine}}
        return {"anyOf": [nested, *(self._beside(section, one, names[one.qualified]) for one in engines)]}

    def _beside(self, section: dict[str, Any], engine: Component, names: list[str]) -> dict[str, Any]:
        """The index's own keys with one engine's options among them."""
        options = self.of_model(engine.options)
        properties = {**options.get("properties", {}), **section["properties"], "engine": {"enum": names}}
        return {**section, "properties": properties, "required": ["engine", *options.get("required", [])]}


def _with_init_from(backbones: dict[str, Any]) -> dict[str, Any]:
    """A backbone may begin as another run's; then all else may be left out. Several stand side by side in a list."""
    told = "The folder of the run to begin from, or of several, for the mean of their weights."
    several = {"type": "array", "items": {"type": "string"}, "uniqueItems": True}
    run = {"init_from": {"anyOf": [{"type": "string"}, several, {"type": "null"}], "description": told}}
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
