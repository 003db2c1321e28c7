"""`backbone: {init_from: RUN}`: the backbone of another run, read from the recipe that the run keeps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nearkin.errors import RecipeError
from nearkin.recipe.plain_words import describe
from nearkin.recipe.problems import Problems
from nearkin.recipe.yaml_text import read_document

KEY = "init_from"
RECIPE = "recipe.yaml"
"""What a run calls the recipe that it was made from."""


def take_init_from(section: Any, problems: Problems) -> tuple[Any, str | None]:
    """The backbone's section without `init_from`, and the run it names; what is no text is a problem."""
    if not isinstance(section, dict) or KEY not in section:
        return section, None
    rest = {key: value for key, value in section.items() if key != KEY}
    said = section[KEY]
    if said is not None and not isinstance(said, str):
        problems.add(("backbone", KEY), f"wants the folder of a run, not {describe(said)}.")
        return rest, None
    return rest, said


def with_ancestor(section: Any, run: str, problems: Problems) -> Any:
    """The section with what it leaves out filled in from the run's own backbone."""
    inherited = _backbone_of(run, problems)
    if inherited is None or not isinstance(section, dict):
        return section
    # Another type has other options: then nothing is inherited but the weights, if they fit.
    if section.get("type", inherited.get("type")) != inherited.get("type"):
        return section
    return {**inherited, **section}


def _backbone_of(run: str, problems: Problems) -> Mapping[str, Any] | None:
    path = Path(run) / RECIPE
    where = ("backbone", KEY)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        message = f"there is no finished run {run!r} here (no {path}). Train it first, or correct the path."
        problems.add(where, message)
        return None
    theirs = Problems()
    backbone = read_document(text, str(path), theirs).get("backbone")
    try:
        theirs.raise_any()
    except RecipeError as error:
        problems.add(where, f"the recipe of that run cannot be read: {error}")
        return None
    if not isinstance(backbone, dict):
        problems.add(where, f"{path} names no backbone.")
        return None
    return {key: value for key, value in backbone.items() if key != KEY}
