"""The JSON Schema knows every key, every registered component and its options."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from nearkin.contracts import Component
from nearkin.recipe import json_schema
from nearkin.recipe.read import KEYS
from nearkin.registry import Registries


def references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"]
        for value in schema.values():
            yield from references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from references(value)


def test_it_is_json_and_refers_only_to_what_it_defines(registries: Registries) -> None:
    schema = json.loads(json.dumps(json_schema(registries)))
    assert list(schema["properties"]) == list(KEYS)
    assert all(ref.removeprefix("#/$defs/") in schema["$defs"] for ref in references(schema))
    assert "TrainOptions" in schema["$defs"]


def test_each_component_has_its_own_section(registries: Registries) -> None:
    sections = json_schema(registries)["properties"]["evaluate"]["items"]["oneOf"]
    by_name = {section["properties"]["type"]["enum"][-1]: section for section in sections}
    assert by_name["exam"]["required"] == ["type", "n_way"]
    assert by_name["exam"]["properties"]["n_way"]["type"] == "integer"
    assert by_name["clusters"]["required"] == ["type"]
    assert by_name["clusters"]["additionalProperties"] is False


def test_a_name_that_two_plugins_offer_is_valid_only_when_qualified(
    registries: Registries, make_component: Callable[..., Component]
) -> None:
    for distribution in ("one", "two"):
        registries.backbone.add(make_component("backbone", "resnet", distribution=distribution))
    sections = json_schema(registries)["properties"]["backbone"]["anyOf"][0]["oneOf"]
    names = [name for section in sections for name in section["properties"]["type"]["enum"]]
    assert "resnet" not in names
    assert len(names) == len(set(names))
    assert {"one:resnet", "two:resnet", "conv4", "nearkin:conv4"} <= set(names)


def test_a_kind_without_components_takes_nothing(registries: Registries) -> None:
    assert json_schema(Registries())["properties"]["method"] == {"not": {}}


def test_a_backbone_may_be_a_list_of_two_or_more(registries: Registries) -> None:
    *alone, several = json_schema(registries)["properties"]["backbone"]["anyOf"]
    assert (several["type"], several["minItems"]) == ("array", 2)
    assert several["items"]["anyOf"] == alone
