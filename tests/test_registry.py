"""Names bind once; the qualified name always resolves; the core's own name is nobody else's."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nearkin.contracts import Component, Options
from nearkin.errors import PluginError
from nearkin.registry import CORE, NameTaken, PluginStatus, Registries, Registry


def component(name: str, distribution: str = "mine") -> Component:
    return Component("loss", name, distribution, "1.0", "A loss.", Options, lambda options, build: None)


def registry(*components: Component) -> Registry:
    made = Registry("loss")
    for one in components:
        made.add(one)
    return made


def test_a_component_is_found_by_its_bare_and_by_its_qualified_name() -> None:
    mine = component("angular")
    assert registry(mine).get("angular") is registry(mine).get("mine:angular") is mine


def test_one_distribution_cannot_bind_a_name_twice_and_the_first_stays() -> None:
    first = component("angular")
    made = registry(first)
    with pytest.raises(NameTaken, match="mine registers the loss 'angular' twice"):
        made.add(component("angular"))
    assert made.get("angular") is first


def test_a_bare_name_of_two_distributions_is_an_error_that_names_both_ways_out() -> None:
    made = registry(component("angular", "b"), component("angular", "a"))
    with pytest.raises(PluginError, match=r"registered by a and b\. .*'a:angular' or 'b:angular'"):
        made.get("angular")
    assert made.get("b:angular").distribution == "b"


def test_a_built_in_name_means_the_built_in_one() -> None:
    made = registry(component("contrastive", "mine"), component("contrastive", CORE))
    assert made.get("contrastive").distribution == CORE
    assert made.get("mine:contrastive").distribution == "mine"


def test_an_unknown_name_is_told_with_the_nearest_valid_one() -> None:
    with pytest.raises(PluginError, match=r"unknown loss 'tripelt'\. Did you mean 'triplet'\?"):
        registry(component("triplet")).get("tripelt")


def test_what_was_saved_is_found_where_its_plugin_is_given_another_way() -> None:
    mine = component("angular", "mine")
    assert registry(mine).saved("mine.py:angular") is registry(mine).saved("mine:angular") is mine
    other = component("angular", "other")
    assert registry(mine, other).saved("other:angular") is other
    for several in (registry(mine, other), registry(component("angular", CORE)), registry()):
        with pytest.raises(PluginError, match=r"unknown loss 'mine\.py:angular'"):
            several.saved("mine.py:angular")


def test_what_is_discarded_is_gone_and_its_name_is_free_again() -> None:
    mine = component("angular")
    made = registry(mine)
    made.discard(mine)
    assert len(made) == 0
    made.add(mine)
    assert made.get("angular") is mine


def test_the_plugins_that_brought_nothing_are_the_broken_ones() -> None:
    broken = PluginStatus("a", "a", "1.0", problems=("cannot be imported",))
    assert Registries(plugins=[broken, PluginStatus("b", "b", "1.0")]).broken == (broken,)


def test_there_is_one_registry_for_every_kind() -> None:
    registries = Registries()
    assert [registries.of(made.kind) for made in registries.all()] == list(registries.all())


NAMES = st.sampled_from(["angular", "contrastive", "margin"])
OWNERS = st.sampled_from([CORE, "a", "b"])


@settings(deadline=None, max_examples=100)
@given(st.permutations([component(name, owner) for name in ("x", "y") for owner in (CORE, "a", "b")]))
def test_the_order_of_registration_decides_nothing(components: Iterable[Component]) -> None:
    made = registry(*components)
    assert [one.qualified for one in made] == ["a:x", "a:y", "b:x", "b:y", f"{CORE}:x", f"{CORE}:y"]
    assert made.get("x").distribution == CORE


@settings(deadline=None, max_examples=100)
@given(st.sets(st.tuples(NAMES, OWNERS)))
def test_every_name_is_found_or_reported_as_a_conflict_and_no_other_is(bound: set[tuple[str, str]]) -> None:
    made = registry(*(component(name, owner) for name, owner in bound))
    told = " ".join(made.conflicts())
    for name in made.names():
        assert (f"{name!r}" in told) == (len([owner for bare, owner in bound if bare == name]) > 1)
    for name, owner in bound:
        assert made.get(f"{owner}:{name}").name == name
