"""Roles of classes: which labels are learned, which only choose, which are only asked about; by name or pattern."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from nearkin.errors import did_you_mean, listing
from nearkin.recipe.data_options import DataOptions, is_pattern


@dataclass(frozen=True)
class Roles:
    """Every label that has one, in one role; what is in none is left out."""

    known: tuple[str, ...]
    """In the recipe's order, a pattern's labels sorted in its place; else all sorted."""
    select: tuple[str, ...]
    """Classes that train nothing and choose the weights. Empty: the known classes' own images do."""
    unknown: frozenset[str]


def matches(label: str, pattern: str) -> bool:
    """Whether a shell pattern fits a label; as with files, `*` and `?` stop at a `/`."""
    parts, wanted = label.split("/"), pattern.split("/")
    return len(parts) == len(wanted) and all(map(fnmatchcase, parts, wanted))


def assign_roles(there: set[str], options: DataOptions) -> tuple[Roles, list[str]]:
    """The roles of the labels that are there, and what is wrong with those that are asked for."""
    asked = {
        "known": options.known or (),
        "select_classes": options.select_classes,
        "unknown": () if options.unknown == "rest" else options.unknown,
    }
    exact = {key: [name for name in names if name in there] for key, names in asked.items()}
    named = {name for names in exact.values() for name in names}
    found = {key: _expand(names, there, named) for key, names in asked.items()}
    labels = f"The labels are {listing(sorted(there), most=30) or 'none'}."
    problems = _missing(asked, there, labels) + _named_twice(exact) + _claimed_twice(found, exact)
    select, unknown = tuple(found["select_classes"]), set(found["unknown"])
    known = tuple(found["known"]) if options.known is not None else tuple(sorted(there - unknown - {*select}))
    problems += _too_few(options, known, select, labels)
    if options.unknown == "rest":
        unknown = there - {*known} - {*select}
    return Roles(known, select, frozenset(unknown)), problems


def _expand(names: Sequence[str], there: set[str], named: set[str]) -> list[str]:
    """The labels that names and patterns stand for, each once; what is named exactly anywhere is no pattern's."""
    found: dict[str, None] = {}
    for name in names:
        if name in there:
            found[name] = None
        else:
            found.update(dict.fromkeys(label for label in sorted(there - named) if matches(label, name)))
    return list(found)


def _missing(asked: dict[str, tuple[str, ...]], there: set[str], labels: str) -> list[str]:
    return [
        f"data.{key}: no image has {_called(name)}.{did_you_mean(name, there)} {labels}"
        for key, names in asked.items()
        for name in names
        if name not in there and not any(matches(label, name) for label in there)
    ]


def _called(name: str) -> str:
    return f"a label that fits the pattern {name!r}" if is_pattern(name) else f"the label {name!r}"


def _named_twice(exact: dict[str, list[str]]) -> list[str]:
    counts = Counter(name for names in exact.values() for name in names)
    return [
        f"data: the class {label!r} is named {n} times in {_and(key for key in exact if label in exact[key])}; "
        "name each class once."
        for label, n in counts.items()
        if n > 1
    ]


def _claimed_twice(found: dict[str, list[str]], exact: dict[str, list[str]]) -> list[str]:
    """Labels that patterns of two keys fit; without the mend there would be training on what is asked about."""
    named = {name for names in exact.values() for name in names}
    counts = Counter(label for labels in found.values() for label in labels if label not in named)
    both = [label for label, n in counts.items() if n > 1]
    if not both:
        return []
    keys = _and(key for key, labels in found.items() if {*both} & {*labels})
    return [f"data: patterns of {keys} fit the same classes: {listing(both)}. Let each fit those of one key alone."]


def _and(keys: Iterable[str]) -> str:
    return " and ".join(keys)


def _too_few(options: DataOptions, known: tuple[str, ...], select: tuple[str, ...], labels: str) -> list[str]:
    problems = []
    if options.unknown == "rest" and options.known is None:
        problems.append("data.unknown: 'rest' is all that is not known, so data.known must name the known classes.")
    if len(known) < 2:
        problems.append(
            f"data.known: at least two classes are needed to learn from, and {len(known)} is left. {labels}"
        )
    if len(select) == 1:
        problems.append(f"data.select_classes: at least two classes are needed to choose by, and {select[0]!r} is one.")
    return problems
