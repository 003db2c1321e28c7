"""Overrides: `train.epochs=5` from a command line, `{"train.epochs": 5}` from Python, put into what the file says."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nearkin.recipe.problems import KeyPath, Place, Problems, Spot, Unreadable, dotted
from nearkin.recipe.yaml_text import read_value


@dataclass(frozen=True)
class _Yaml:
    """A value still to be read, from a command line."""

    text: str


@dataclass(frozen=True)
class _Override:
    key: str
    place: Place
    value: object


def apply_overrides(data: dict[str, Any], overrides: Sequence[str] | Mapping[str, object], problems: Problems) -> None:
    """Change `data` as asked, in the order given. A missing section is created; what cannot be meant is a problem."""
    done: list[KeyPath] = []
    for override in _listed(overrides):
        try:
            path = _path(data, override)
            undone = [earlier for earlier in done if earlier[: len(path)] == path]
            if undone:
                raise Unreadable(override.place, f"it undoes the override of {dotted(undone[0])!r}. Give one of them.")
            _apply(data, path, override, problems)
            done.append(path)
        except Unreadable as error:
            problems.add_at(error.place, override.key, error.message)


def _listed(overrides: Sequence[str] | Mapping[str, object]) -> Iterator[_Override]:
    if isinstance(overrides, Mapping):
        for number, (key, value) in enumerate(overrides.items()):
            yield _Override(str(key), Place((1, number, 0), f"override {key!r}"), value)
        return
    for number, said in enumerate([overrides] if isinstance(overrides, str) else overrides):
        key, _, text = said.partition("=")
        yield _Override(key.strip(), Place((1, number, 0), f"override {said!r}"), _Yaml(text))


def _path(data: dict[str, Any], override: _Override) -> KeyPath:
    """The key's parts, list positions as numbers."""
    path: list[str | int] = []
    inside: Any = data
    for part in override.key.split("."):
        if not part:
            raise Unreadable(override.place, "an override is key=value, nested keys joined by dots: train.epochs=5.")
        if isinstance(inside, list):
            path.append(_position(part, inside, dotted(path), override.place))
            inside = inside[int(part)]
        elif isinstance(inside, dict) or inside is None:
            path.append(part)
            inside = (inside or {}).get(part)
        else:
            raise Unreadable(override.place, f"{dotted(path)!r} is {inside!r}, which has no keys inside.")
    return tuple(path)


def _position(part: str, entries: list[Any], of: str, place: Place) -> int:
    if part.isascii() and part.isdigit() and len(part) < 10 and int(part) < len(entries):
        return int(part)
    have = f"has the positions 0 to {len(entries) - 1}" if entries else "is empty"
    raise Unreadable(place, f"{of!r} is a list and {have}; {part!r} is none of them.")


def _apply(data: dict[str, Any], path: KeyPath, override: _Override, problems: Problems) -> None:
    value, read = copy.deepcopy(override.value), Problems()  # a later override may reach into it; it is the caller's
    if isinstance(value, _Yaml):
        value = _read(value.text, path, override.place, read)
    problems.replace(path, read)
    problems.spots.setdefault(path, Spot(override.place, override.place))
    _section(data, path[:-1], override.place, problems)[path[-1]] = value


def _read(text: str, path: KeyPath, place: Place, problems: Problems) -> Any:
    if not text.strip():
        raise Unreadable(place, "no value. Write key=value; null for none, '\"\"' for empty text.")
    return read_value(text, path, place, problems)


def _section(data: Any, path: KeyPath, place: Place, problems: Problems) -> Any:
    """The container at `path`; sections on the way that are missing or null are created."""
    for length, part in enumerate(path, start=1):
        if (data.get(part) if isinstance(data, dict) else data[part]) is None:
            data[part] = {}
            problems.spots[path[:length]] = Spot(place, place)
        data = data[part]
    return data
