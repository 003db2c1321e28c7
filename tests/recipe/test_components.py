"""A section finds its component by name, or says whether a name is mistyped or a plugin is missing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
from pydantic import field_validator, model_serializer

from nearkin.contracts import Comparison, Component, LossOptions, Options
from nearkin.errors import Problem, RecipeError
from nearkin.recipe import Recipe
from nearkin.registry import PluginStatus, Registries

Parse = Callable[..., Recipe]
ProblemsOf = Callable[..., list[Problem]]
Make = Callable[..., Component]


def test_a_name_is_kept_as_it_is_written(parse: Parse, good: str) -> None:
    assert parse(good.replace("type: conv4", "type: nearkin:conv4")).backbones[0].selection.type == "nearkin:conv4"


def test_a_mistyped_name_is_no_missing_plugin(problems_of: ProblemsOf, good: str) -> None:
    (problem,) = problems_of(good.replace("type: conv4", "type: con4"))
    assert problem == Problem(
        "r.yaml:8:18",
        "backbone.type",
        "unknown backbone 'con4'. Did you mean 'conv4'? 'nearkin components backbones' lists all.",
    )


def test_a_name_that_nothing_is_near_may_be_a_plugins(parse: Parse, good: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse(good.replace("type: conv4", "type: resnet50"))
    (problem,) = caught.value.problems
    assert problem.missing_plugin
    assert problem.message == (
        "unknown backbone 'resnet50'. Registered: conv2, conv4. Install the plugin that brings it, or pass "
        "--plugin FILE; 'nearkin plugins' shows what is installed."
    )
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("name", ["vicreg", "vic_reg", "VICRegBackbone"])
def test_what_is_left_out_is_told_with_the_reason(
    problems_of: ProblemsOf, registries: Registries, good: str, name: str
) -> None:
    registries.backbone.left_out["VICRegBackbone"] = "it needs two views of each image"
    (problem,) = problems_of(good.replace("type: conv4", f"type: {name}"))
    assert not problem.missing_plugin
    assert problem.message == (
        f"the backbone {name!r} is not offered: it needs two views of each image. "
        "'nearkin components backbones' lists all."
    )


def test_another_problem_beside_a_missing_plugin_makes_it_a_bad_recipe(parse: Parse, good: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse(good.replace("type: conv4", "type: resnet50").replace("seed: 3", "seed: x"))
    assert caught.value.exit_code == 2


def test_a_broken_plugin_is_named_with_its_reason(problems_of: ProblemsOf, registries: Registries, good: str) -> None:
    registries.plugins.append(PluginStatus("nets", "some-nets", "2.0", ("cannot be imported: no module x", "more")))
    (problem,) = problems_of(good.replace("type: conv4", "type: resnet50"))
    assert problem.missing_plugin
    assert "It may be in a broken plugin: nets of some-nets 2.0 (cannot be imported: no module x)." in problem.message
    assert not problems_of(good.replace("type: conv4", "type: con4"))[0].missing_plugin


def test_a_near_name_that_a_broken_plugin_bears_is_a_missing_plugin(
    problems_of: ProblemsOf, registries: Registries, good: str
) -> None:
    registries.plugins.append(PluginStatus("conv-40", "nearkin-conv-40", "2.0", ("broken",)))
    for name in ("conv_40", "nearkin-conv-40:net"):
        (problem,) = problems_of(good.replace("type: conv4", f"type: {name}"))
        assert problem.missing_plugin
        assert "conv-40 of nearkin-conv-40 2.0 (broken)" in problem.message


def test_a_name_that_two_plugins_offer_must_be_qualified(
    parse: Parse, problems_of: ProblemsOf, registries: Registries, make_component: Make, good: str
) -> None:
    for distribution in ("one", "two"):
        registries.backbone.add(make_component("backbone", "resnet", distribution=distribution))
    text = good.replace("{type: conv4, width: 32}", "{type: resnet}")
    (problem,) = problems_of(text)
    assert problem.missing_plugin
    assert problem.message.endswith("Write which one you mean: 'one:resnet' or 'two:resnet'.")
    assert parse(text.replace("resnet", "two:resnet")).backbones[0].selection.type == "two:resnet"


def test_a_kind_that_nothing_offers_says_so(problems_of: ProblemsOf, registries: Registries, good: str) -> None:
    for component in list(registries.method):
        registries.method.discard(component)
    assert "No method is registered." in problems_of()[0].message
    assert problems_of(good.replace("method: {type: twins}\n", ""))[0].message == "missing: no method is registered."


class Breaks(Options):
    width: int = 1

    @field_validator("width")
    @classmethod
    def _check(cls, width: int) -> int:
        raise KeyError("oops")


class Infinite(Options):
    width: float = float("inf")


class Forgets(Options):
    width: int = 1

    @model_serializer
    def _write(self) -> dict[str, int]:
        return {"width": 1}


def saying(what: str, said: Any) -> type[Options]:
    """A loss's options that say this of it."""
    return type("Saying", (LossOptions,), {"__annotations__": {"width": int}, "width": 1, what: lambda self, *_: said})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (saying("comparison", ("l2", True)), "say ('l2', True) of how it compares, which is no Comparison."),
        (saying("comparison", Comparison("x", cast(Any, "l7"))), "and no metric or normalize is called so."),
        (saying("mining_key", "miner"), "say that 'miner' is the key by which it mines, and have no such key."),
        (saying("idle_key", "draws"), "say that 'draws' is idle, and have no such key."),
        (saying("learns", "yes"), "say 'yes' of whether it learns: True, False, or None."),
        (Breaks, "other:net broke while it checked its options: KeyError: 'oops'. Its plugin must mend that."),
        (Forgets, "the options of other:net do not read back the same from a written recipe."),
    ],
)
def test_a_plugin_whose_options_do_not_work_is_told_beside_all_else(
    problems_of: ProblemsOf, registries: Registries, make_component: Make, good: str, options: type[Options], said: str
) -> None:
    registries.backbone.add(make_component("backbone", "net", options, distribution="other"))
    text = good.replace("{type: conv4, width: 32}", "{type: net, width: 32}")
    found = problems_of(text.replace("seed: 3", "seed: x"))
    assert [problem.where for problem in found] == ["r.yaml:3:7", "r.yaml:8:11"]
    assert found[1].missing_plugin
    assert said in found[1].message


def test_a_default_that_a_recipe_cannot_hold_is_told(
    problems_of: ProblemsOf, registries: Registries, make_component: Make, good: str
) -> None:
    registries.backbone.add(make_component("backbone", "net", Infinite, distribution="other"))
    (problem,) = problems_of(good.replace("{type: conv4, width: 32}", "{type: net}"))
    assert "the options of other:net do not read back" in problem.message
