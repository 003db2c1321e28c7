"""The problems of one recipe, collected with their places, so that all of them are told at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from nearkin.errors import Problem, RecipeError

KeyPath: TypeAlias = tuple[str | int, ...]
"""Keys and list positions from the top of the recipe: `("evaluate", 0, "n_way")`."""


@dataclass(frozen=True, order=True)
class Place:
    """Where something was said. Places sort as the file reads, the overrides after it."""

    rank: tuple[int, int, int]
    text: str
    """`file:line:column`, or `override 'key=value'`."""


@dataclass(frozen=True)
class Spot:
    """The places of one key and of its value; an entry of a list has its value's place for both."""

    key: Place
    value: Place
    written: str | None = None
    """An unquoted value exactly as it stands in the text: `007`, which is read as 7."""


class Unreadable(Exception):  # never shown: whoever catches it collects it as a Problem
    """Text that cannot be read any further."""

    def __init__(self, place: Place, message: str) -> None:
        super().__init__(message)
        self.place = place
        self.message = message


class Problems:
    """Collects problems, and knows the spot of every key that was read."""

    def __init__(self) -> None:
        self.spots: dict[KeyPath, Spot] = {}
        self._found: dict[Problem, Place] = {}
        self._unread: set[KeyPath] = set()
        self._above_unread: set[KeyPath] = set()

    def add(self, path: KeyPath, message: str, *, at_key: bool = False, missing_plugin: bool = False) -> None:
        """Blame the value at `path`, or its key; where there is none, the key of what it is missing from."""
        if path not in self._above_unread and not any(start in self._unread for start in _starts(path)):
            self.add_at(self._place(path, at_key), dotted(path), message, missing_plugin=missing_plugin)

    def add_at(self, place: Place, key: str, message: str, *, missing_plugin: bool = False) -> None:
        """Blame a place that belongs to no value."""
        self._found[Problem(place.text, key, message, missing_plugin)] = place

    def unread(self, path: KeyPath, message: str) -> None:
        """Blame a value that cannot be read, and keep silent about all that would follow from its absence."""
        self.add(path, message)
        self._unread.add(path)
        self._above_unread.update(_starts(path))

    def replace(self, path: KeyPath, other: Problems) -> None:
        """Forget where the value at `path` and all inside it stood; take what `other` knows of the new value."""
        self.spots = {spot: where for spot, where in self.spots.items() if spot[: len(path)] != path} | other.spots
        self._unread = {unread for unread in self._unread if unread[: len(path)] != path} | other._unread
        self._above_unread = {start for unread in self._unread for start in _starts(unread)}
        self._found |= other._found

    def raise_any(self) -> None:
        """One RecipeError with every problem, in the order of their places."""
        if self._found:
            raise RecipeError(sorted(self._found, key=lambda problem: (self._found[problem], problem)))

    def _place(self, path: KeyPath, at_key: bool) -> Place:
        nearest = next(path[:length] for length in range(len(path), -1, -1) if path[:length] in self.spots)
        spot = self.spots[nearest]
        return spot.key if at_key or nearest != path else spot.value


def dotted(path: Iterable[str | int]) -> str:
    """`evaluate.0.n_way`."""
    return ".".join(str(part) for part in path)


def _starts(path: KeyPath) -> Iterator[KeyPath]:
    return (path[:length] for length in range(1, len(path) + 1))
