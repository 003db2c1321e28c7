"""Checks plain data: that it is plain, and that it fits an options model."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from nearkin.recipe.nested import value_at
from nearkin.recipe.plain_words import findings, in_quotes
from nearkin.recipe.problems import KeyPath, Problems
from nearkin.recipe.yaml_text import MAX_DEPTH

Model = TypeVar("Model", bound=BaseModel)
MAX_BITS = 1024


def plain_data(value: Any, path: KeyPath, problems: Problems) -> Any:
    """`value` as JSON has it (tuples as lists, paths as text); what a recipe cannot hold is a problem, and None."""
    if isinstance(value, Mapping | list | tuple) and len(path) >= MAX_DEPTH:
        problems.unread(path, f"nested deeper than {MAX_DEPTH} levels.")
    elif isinstance(value, Mapping):
        return {key: plain_data(value[key], (*path, key), problems) for key in _text_keys(value, path, problems)}
    elif isinstance(value, list | tuple):
        return [plain_data(item, (*path, position), problems) for position, item in enumerate(value)]
    elif isinstance(value, PurePath):
        return str(value)
    elif trouble := _trouble(value):
        problems.unread(path, trouble)
    else:
        return value
    return None


def _text_keys(value: Mapping[Any, Any], path: KeyPath, problems: Problems) -> list[str]:
    wrong = [key for key in value if not isinstance(key, str) or _trouble(key)]
    for key in wrong:
        problems.add(path, f"keys are text that can be written as UTF-8, not {key!r}.")
    return [key for key in value if key not in wrong]


def _trouble(value: Any) -> str:
    """Why a recipe cannot hold this value; nothing where it can."""
    if isinstance(value, str):
        half = next((char for char in value if "\ud800" <= char <= "\udfff"), None)
        return f"holds half a character (U+{ord(half):04X}): write the whole character itself." if half else ""
    if isinstance(value, float):
        return "" if math.isfinite(value) else f"must be a finite number, not {value}."
    if isinstance(value, int):
        return "" if value.bit_length() <= MAX_BITS else f"a number of {value.bit_length()} bits cannot be meant."
    mend = "Give numbers, text, lists or dicts"
    return "" if value is None else f"a recipe cannot hold a Python {type(value).__name__}. {mend}."


def check_model(
    model: type[Model], data: Any, path: KeyPath, problems: Problems, *, beside: Sequence[str] = ()
) -> Model | None:
    """The model's instance, or `None` and every problem, at its place. `data` is plain.

    `beside`: keys that the section may have too, which were taken out of `data`.
    """
    try:
        return model.model_validate_json(json.dumps(data))
    except ValidationError as error:
        for finding in findings(error.errors(include_url=False), data, model, beside):
            full = (*path, *finding.path)
            message = finding.message
            if finding.quotes:
                spot = problems.spots.get(full)
                message = in_quotes(full, value_at(data, finding.path), spot.written if spot else None)
            problems.add(full, message, at_key=finding.at_key)
    return None
