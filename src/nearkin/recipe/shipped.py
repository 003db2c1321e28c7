"""The recipes that ship with nearkin, by name."""

from __future__ import annotations

from pathlib import Path

from nearkin.arguments import path_of
from nearkin.errors import UsageError, did_you_mean

_PACKAGE = Path(__file__).resolve().parents[1]


def recipes_folder() -> Path:
    """Inside the installed package; in a checkout, beside `src`."""
    installed = _PACKAGE / "recipes"
    return installed if installed.is_dir() else _PACKAGE.parents[1] / "recipes"


def shipped_recipes() -> dict[str, Path]:
    """Name -> file, sorted by name."""
    return {path.stem: path for path in sorted(recipes_folder().glob("*.yaml"))}


def find_recipe(given: Path | str) -> Path:
    """A path as it is; a bare name without a file of that name is looked up among the shipped recipes."""
    path = path_of(given, "a recipe")
    if path.exists() or path.suffix or path.name != str(given):
        return path
    shipped = shipped_recipes()
    if path.name not in shipped:
        raise UsageError(
            f"{given}: neither a file nor a recipe that ships with nearkin.{did_you_mean(path.name, shipped)} "
            "'nearkin recipes list' lists those."
        )
    return shipped[path.name]
