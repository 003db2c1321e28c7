"""What pydantic finds wrong with a section, in plain words and with the mend."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from nearkin.errors import did_you_mean, listing
from nearkin.recipe.nested import TAG, annotations_at, has, keys_at, missing_part, tags_at, unknown_part, value_at
from nearkin.recipe.problems import KeyPath
from nearkin.recipe.yaml_scalars import plain_value

_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "text",
    "list": "a list",
    "tuple": "a list",
    "set": "a list",
    "frozen_set": "a list",
    "dict": "a section (key: value)",
    "model": "a section (key: value)",
    "model_attributes": "a section (key: value)",
    "dataclass": "a section (key: value)",
}
"""pydantic's name of a type -> what a recipe calls it. Its errors are `int_type`, `int_parsing`, `int_from_float`."""

_LIMITS = {
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "multiple_of": "must be a multiple of {multiple_of}",
    "finite_number": "must be a finite number",
    "too_short": "needs at least {min_length} entries",
    "too_long": "takes at most {max_length} entries",
    "string_too_short": "needs at least {min_length} characters",
    "string_too_long": "takes at most {max_length} characters",
    "string_pattern_mismatch": "must match the pattern {pattern}",
}


@dataclass(frozen=True)
class Finding:
    """One thing wrong, inside a section."""

    path: KeyPath
    message: str
    at_key: bool = False
    """Blame the key rather than its value."""
    quotes: bool = False
    """Whether quotes would mend it: text is wanted, and the value was read as a number, true, false or null."""


def findings(
    errors: Sequence[ErrorDetails], data: Any, model: type[BaseModel], beside: Sequence[str] = ()
) -> Iterator[Finding]:
    """One a place: what the branches of a union each want is told together, and only where the value goes wrong.

    `beside`: keys of the section that its model does not know.
    """
    of_path: dict[KeyPath, list[ErrorDetails]] = {}
    for error in errors:
        of_path.setdefault(_data_path(error, data), []).append(error)
    above = {path[:length] for path in of_path for length in range(len(path))}
    for path, found in of_path.items():
        if path not in above:
            yield _finding(path, found, data, model, beside if len(path) == 1 else ())


def _data_path(error: ErrorDetails, data: Any) -> KeyPath:
    """`loc` without the names of union branches that pydantic puts in it."""
    path: list[str | int] = []
    last = len(error["loc"]) - 1
    for position, part in enumerate(error["loc"]):
        if has(data, part):
            data = data[part]
            path.append(part)
        elif position == last and error["type"] == "missing":
            path.append(part)
    return (*path, TAG) if error["type"] in ("union_tag_invalid", "union_tag_not_found") else tuple(path)


def _finding(
    path: KeyPath, found: list[ErrorDetails], data: Any, model: type[BaseModel], beside: Sequence[str]
) -> Finding:
    first = found[0]
    if first["type"] in ("missing", "union_tag_not_found"):
        names = tags_at(model, path[:-1], data) if path[-1] == TAG else []
        return Finding(path, missing_part(path, names) if names else "missing, and it has no default.")
    if first["type"] == "extra_forbidden":
        return Finding(path, unknown_key(str(path[-1]), [*keys_at(model, path[:-1], data), *beside]), at_key=True)
    value = value_at(data, path)
    if first["type"] == "union_tag_invalid":
        return Finding(path, unknown_part(path, value, tags_at(model, path[:-1], data)))
    wanted = list(dict.fromkeys(kind for error in found if (kind := _wanted(error))))
    told = list(dict.fromkeys(limit for error in found if (limit := _limit(error, value, wanted))))
    if told:
        return Finding(path, " ".join(told), at_key=isinstance(value, dict))
    allowed = annotations_at(model, path, data)
    if path and isinstance(path[-1], str) and any(NoneType in get_args(kind) for kind in allowed):
        wanted.append("null")
    quotes = "text" in wanted and not isinstance(value, str | list | dict)
    mend = _mend(wanted, value, tags_at(model, path, data))
    return Finding(path, f"wants {_either(wanted)}, not {describe(value)}.{mend}", quotes=quotes)


def unknown_key(key: str, valid: Sequence[str]) -> str:
    """`unknown key.`, the nearest valid one, and the valid ones."""
    glued = f" Put a space after the ':' of {key!r}." if ":" in key else ""
    there_are = f" The keys here are {listing(valid, most=20)}." if valid else " It takes no keys here."
    return f"unknown key.{glued or did_you_mean(key, valid) or there_are}"


def _limit(error: ErrorDetails, value: Any, instead: Sequence[str]) -> str:
    """What a validator or a limit says; nothing where the value is of a wrong kind; `instead`: what else would do."""
    context = error.get("ctx", {})
    if error["type"] in ("value_error", "assertion_error"):
        return str(context.get("error") or "this value cannot be.")
    if error["type"] in _LIMITS:
        have = len(value) if isinstance(value, str | list | dict) and "length" in _LIMITS[error["type"]] else value
        shown = describe(have) if isinstance(have, str) else f"{have}"
        limits = {name: f"{limit:g}" if isinstance(limit, float) else limit for name, limit in context.items()}
        also = f" (or {_either(instead)})" if instead else ""
        return f"{_LIMITS[error['type']].format(**limits)}{also}, not {shown}."
    if _wanted(error):
        return ""
    return f"{error['msg'].replace('Input should be', 'must be').rstrip('.')}, not {describe(value)}."


def _wanted(error: ErrorDetails) -> str:
    """`'adam', 'adamw' or 'sgd'`, `a whole number`; nothing for an error of another sort."""
    if error["type"] in ("literal_error", "enum"):
        return str(error.get("ctx", {})["expected"])
    if error["type"] == "none_required":
        return "null"
    kind = re.fullmatch(r"(\w+?)_(type|parsing|parsing_size|from_float)", error["type"])
    return _KINDS.get(kind[1], "") if kind else ""


def _either(wanted: Sequence[str]) -> str:
    return " or ".join(wanted)


def describe(value: Any) -> str:
    """`the text 'x'`, `the number 3`, `true`, `a list`: long text is cut."""
    if isinstance(value, str):
        return f"the text {value if len(value) <= 60 else value[:57] + '...'!r}"
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, int | float):
        return f"the number {value}"
    return "a list" if isinstance(value, list) else "a section"


def _mend(wanted: Sequence[str], value: Any, parts: Sequence[str]) -> str:
    if isinstance(value, str) and parts:
        return f" Write {{type: {value}}}." if value in parts else did_you_mean(value, parts)
    if isinstance(value, str) and (near := did_you_mean(value, re.findall(r"'([^']*)'", " ".join(wanted)))):
        return near
    if "a list" in wanted and not isinstance(value, dict):
        return " A list is written [a, b]."
    if "a whole number" in wanted and isinstance(value, float) and value.is_integer():
        return f" Write {int(value)}."
    numbers = {"a whole number", "a number", "true or false"} & {*wanted}
    if numbers and isinstance(value, str) and len(value) < 100 and isinstance(plain_value(value), int | float):
        return " Write it without quotes."
    return ""


def in_quotes(path: KeyPath, value: Any, written: str | None) -> str:
    """How to write what YAML reads as a number, true, false or null where text is wanted, as labels usually are."""
    label = path[:1] == ("data",) and path[1:2] in (("known",), ("select_classes",), ("unknown",))
    if written == "":
        return "wants text, and there is none."
    wants = "labels are text, exactly as written" if label else f"wants text, not {describe(value)}"
    return f'{wants}: write "{written or json.dumps(value)}" in quotes.'
