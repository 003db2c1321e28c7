"""The engine in the section `index`: its name with its options beside it, or a section of its own."""

from __future__ import annotations

from typing import Any

from nearkin.errors import did_you_mean
from nearkin.recipe.components import choose
from nearkin.recipe.model import IndexOptions, Selection
from nearkin.recipe.nested import fields_of
from nearkin.recipe.problems import Problems
from nearkin.registry import Registries

DEFAULT_ENGINE = "auto"


def read_engine(section: Any, registries: Registries, problems: Problems) -> tuple[Selection | None, Any]:
    """The engine that the section `index` names, and what of the section is the index's own.

    `{engine: hnsw, links: 64}` and `{engine: {type: hnsw, links: 64}}` are the same.
    """
    if not isinstance(section, dict):
        section, rest = {}, section
    else:
        rest = {key: value for key, value in section.items() if key != "engine"}
    said = section.get("engine", DEFAULT_ENGINE)
    beside = _beside(said, rest, registries) if isinstance(said, str) and "engine" in section else {}
    named = {**beside, "type": said} if isinstance(said, str) else said
    options_at = ("index",) if beside else None
    chosen = choose("engine", named, ("index", "engine"), registries, problems, options_at=options_at)
    if beside:
        rest = {key: value for key, value in rest.items() if key not in beside}
    return chosen.selection if chosen else None, rest


def _beside(name: str, section: dict[str, Any], registries: Registries) -> dict[str, Any]:
    """The options of that engine among the keys of `index`; a key that neither knows is whose it is nearer to."""
    own = {*fields_of(IndexOptions)}
    theirs = {key for one in registries.engine if name in (one.name, one.qualified) for key in fields_of(one.options)}
    mistyped = {key for key in section if did_you_mean(key, theirs) and not did_you_mean(key, own)}
    return {key: value for key, value in section.items() if key in (theirs | mistyped) - own - {"type"}}
