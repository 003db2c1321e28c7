"""The section `backbone`: one network, or a list of networks side by side; each may begin as other runs have it."""

from __future__ import annotations

from typing import Any

from nearkin.recipe.agreement import check_head
from nearkin.recipe.ancestor import KEY, take_init_from, with_ancestors
from nearkin.recipe.components import choose
from nearkin.recipe.model import BackboneSection
from nearkin.recipe.problems import KeyPath, Problems, dotted
from nearkin.registry import Registries

AT = ("backbone",)


def read_backbones(
    said: Any, registries: Registries, problems: Problems, *, settled: bool
) -> tuple[BackboneSection, ...]:
    """The backbones of a recipe; fewer than it lists where something is wrong, which is a problem.

    What a section leaves out is as the first run that it begins with has it. `settled`: a run's own recipe, in which
    that stands already.
    """
    if not isinstance(said, list):
        found = [_backbone(said, AT, registries, problems, settled)]
    elif len(said) < 2:
        problems.add(AT, _too_short(len(said)))
        return ()
    else:
        _refuse_copies(said, problems)
        found = [_backbone(one, (*AT, place), registries, problems, settled) for place, one in enumerate(said)]
    return tuple(section for section in found if section)


def _backbone(
    said: Any, at: KeyPath, registries: Registries, problems: Problems, settled: bool
) -> BackboneSection | None:
    section, runs = take_init_from(said, at, problems)
    if section is None and said is not None:
        return None
    if runs and not settled:
        section = with_ancestors(section, runs, at, problems)
        if section is None:
            return None
    chosen = choose("backbone", section, at, registries, problems, beside=(KEY,))
    if chosen is None or chosen.selection is None:
        return None
    if not settled:
        check_head(chosen.selection, at, problems)
    return BackboneSection(chosen.selection, runs)


def _too_short(length: int) -> str:
    if length:
        return "a list of one backbone is that backbone: write it without the list, or list two or more side by side."
    return "an empty list. Name one backbone, as in {type: conv4}, or list two or more side by side."


def _refuse_copies(entries: list[Any], problems: Problems) -> None:
    """A network beside its own copy says nothing new; two that begin at random differ."""
    for place, entry in enumerate(entries):
        first = entries.index(entry)
        if first < place and isinstance(entry, dict) and entry.get("init_from"):
            problems.add((*AT, place), f"is the same as {dotted((*AT, first))}. Delete one, or name another run.")
