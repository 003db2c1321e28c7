"""The key `index.engine`: an engine's name, or a section with its options."""

from __future__ import annotations

from typing import Any

from nearkin.recipe.components import choose
from nearkin.recipe.model import Selection
from nearkin.recipe.problems import Problems
from nearkin.registry import Registries

DEFAULT_ENGINE = "auto"


def read_engine(section: Any, registries: Registries, problems: Problems) -> tuple[Selection | None, Any]:
    """The engine that the section `index` names, and the section without it."""
    said = section.get("engine", DEFAULT_ENGINE) if isinstance(section, dict) else DEFAULT_ENGINE
    named = {"type": said} if isinstance(said, str) else said
    chosen = choose("engine", named, ("index", "engine"), registries, problems)
    rest = {key: section[key] for key in section if key != "engine"} if isinstance(section, dict) else section
    return chosen.selection if chosen else None, rest
