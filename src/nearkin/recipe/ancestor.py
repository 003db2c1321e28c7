"""`backbone: {init_from: RUN}`: the backbone of another run or the mean of several, as their recipes have it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nearkin.errors import RecipeError
from nearkin.recipe.plain_words import describe
from nearkin.recipe.problems import KeyPath, Problems
from nearkin.recipe.yaml_text import read_document

KEY = "init_from"
RECIPE = "recipe.yaml"
"""What a run calls the recipe that it was made from."""


def take_init_from(section: Any, at: KeyPath, problems: Problems) -> tuple[Any, tuple[str, ...]]:
    """The section of the backbone at `at` without `init_from`, and the runs it names; what is no text is a problem.

    The section is `None` where such a problem leaves nothing more to say of it.
    """
    if not isinstance(section, dict) or KEY not in section:
        return section, ()
    rest = {key: value for key, value in section.items() if key != KEY}
    said = section[KEY]
    runs = [] if said is None else said if isinstance(said, list) else [said]
    wrong = [run for run in runs if not isinstance(run, str)]
    twice = sorted({run for run in runs if runs.count(run) > 1}) if not wrong else []
    if wrong or twice:
        told = f"not {describe(wrong[0])}" if wrong else f"and {twice[0]!r} stands there twice"
        problems.add((*at, KEY), f"wants the folder of a run, or a list of several, {told}.")
        return rest if "type" in rest else None, ()
    return rest, tuple(runs)


def with_ancestors(
    section: dict[str, Any], runs: Sequence[str], at: KeyPath, problems: Problems
) -> dict[str, Any] | None:
    """The section with what it leaves out filled in from the first run's own backbone.

    `None` where that cannot be read and the section names no type of its own: there is nothing more to say of it.
    """
    inherited, *_ = [_backbone_of(run, (*at, KEY), problems) for run in runs]
    if inherited is None:
        return section if "type" in section else None
    # Another type has other options: then nothing is inherited but the weights, if they fit.
    if section.get("type", inherited.get("type")) != inherited.get("type"):
        return section
    return {**inherited, **section}


def several_there(run: str, count: int) -> str:
    """Why a run whose backbones stand side by side is no ancestor."""
    return (
        f"{run!r} has {count} backbones side by side, and only a run of one backbone can be begun from. List here the "
        "runs that those began with, as its own recipe does."
    )


def _backbone_of(run: str, where: KeyPath, problems: Problems) -> Mapping[str, Any] | None:
    path = Path(run) / RECIPE
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
    if isinstance(backbone, list):
        problems.add(where, several_there(run, len(backbone)))
        return None
    if not isinstance(backbone, dict):
        problems.add(where, f"{path} names no backbone.")
        return None
    return {key: value for key, value in backbone.items() if key != KEY}
