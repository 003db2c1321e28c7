"""Parts made from a recipe's selections, and held to their contracts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nearkin.contracts import Backbone, Build
from nearkin.errors import DataError, PluginError, UsageError
from nearkin.recipe.model import Selection
from nearkin.registry import Registries
from nearkin.side_by_side import SideBySide


def make(selection: Selection, build: Build, registries: Registries, *, wants: Sequence[str]) -> Any:
    """Run one factory; hold what it returns to its contract, naming whose it is."""
    component = registries.of(selection.kind).get(selection.type)
    made = component.factory(selection.options, build)
    missing = [name for name in wants if not hasattr(made, name)]
    if missing:
        raise PluginError(
            f"the {component.kind} {component.qualified} made a {type(made).__name__} without {', '.join(missing)}; "
            "nearkin.contracts says what it must have."
        )
    return made


def make_backbone(selections: Sequence[Selection], build: Build, registries: Registries) -> Backbone:
    """The backbone that is named, or those that are, side by side; errors say at which place of the list."""
    wants = ("input", "embedding_dim")
    if len(selections) == 1:
        alone: Backbone = make(selections[0], build, registries, wants=wants)
        return alone
    members = []
    for place, selection in enumerate(selections):
        try:
            members.append(make(selection, build, registries, wants=wants))
        except (DataError, PluginError, UsageError) as error:
            raise type(error)(f"backbone.{place}: {error}") from error
    return SideBySide(members)
