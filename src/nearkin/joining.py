"""What is one because it shares a member, along chains: groups that hold a file each, units that hold an image each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

Name = TypeVar("Name", bound=Any)
"""Hashable, and in an order."""


def joining(alike: Iterable[Iterable[Name]]) -> Callable[[Name], Name]:
    """Names that stand in one list are one: what any name is called then, the first in order of those joined to it."""
    above: dict[Name, Name] = {}

    def called(name: Name) -> Name:
        while name in above:
            name = above[name]
        return name

    for names in alike:
        first, *others = sorted({called(name) for name in names})
        above.update(dict.fromkeys(others, first))
    return called
