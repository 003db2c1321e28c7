"""The engine in the section `index`: its options beside its name, or in a section of its own."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from nearkin.recipe import Recipe, json_schema, to_yaml
from nearkin.registry import Registries

Parse = Callable[..., Recipe]
Told = Callable[..., list[str]]


def section(good: str, text: str) -> str:
    return good.replace("index: {alpha: .1}", f"index: {text}")


def test_options_beside_the_engines_name_are_those_of_its_own_section(parse: Parse, good: str) -> None:
    beside = parse(section(good, "{engine: far, uri: here, shards: 2, alpha: 0.2}"))
    assert beside == parse(section(good, "{engine: {type: far, uri: here, shards: 2}, alpha: 0.2}"))
    assert (beside.engine.options.model_dump(), beside.index.alpha) == ({"uri": "here", "shards": 2}, 0.2)
    assert parse(to_yaml(beside)) == beside


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{engine: far, shards: 0}", "r.yaml:14:30 index.shards: must be at least 1, not 0."),
        ("{engine: far, shard: 2}", "r.yaml:14:22 index.shard: unknown key. Did you mean 'shards'?"),
        ("{engine: far, aplha: 0.2}", "r.yaml:14:22 index.aplha: unknown key. Did you mean 'alpha'?"),
        ("{engine: far, type: far}", "r.yaml:14:22 index.type: unknown key."),
        ("{engine: flat, uri: here}", "r.yaml:14:23 index.uri: unknown key. The keys here are"),
        ("{engine: {type: far}, uri: here}", "r.yaml:14:30 index.uri: unknown key. The keys here are"),
        ("{uri: here}", "r.yaml:14:9 index.uri: unknown key. The keys here are"),
        ("{engine: fra}", "r.yaml:14:9 index.engine.type: unknown engine 'fra'. Did you mean 'far'?"),
    ],
)
def test_a_key_that_neither_knows_is_told_by_the_one_that_it_is_near(
    told: Told, good: str, text: str, problem: str
) -> None:
    (found,) = told(section(good, text))
    assert found.startswith(problem)


def test_the_schema_takes_both_forms(registries: Registries) -> None:
    nested, *beside = json.loads(json.dumps(json_schema(registries)))["properties"]["index"]["anyOf"]
    far = next(one for one in beside if "far" in one["properties"]["engine"]["enum"])
    assert {"uri", "shards", "alpha", "engine"} <= set(far["properties"])
    assert "uri" not in nested["properties"]
    assert not any(one["additionalProperties"] for one in (nested, *beside))
