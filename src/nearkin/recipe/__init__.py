"""Recipes: YAML text in, a validated, frozen Recipe out, and back again. Imports no torch and no numpy."""

from __future__ import annotations

from nearkin.recipe.model import Recipe, Selection
from nearkin.recipe.read import parse_recipe, read_recipe
from nearkin.recipe.schema import json_schema
from nearkin.recipe.write import resolved, to_yaml

__all__ = ["Recipe", "Selection", "json_schema", "parse_recipe", "read_recipe", "resolved", "to_yaml"]
