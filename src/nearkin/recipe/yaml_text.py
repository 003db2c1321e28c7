"""YAML text to plain data with a place for every value, and plain data to YAML text that reads back the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import yaml

from nearkin.recipe.problems import KeyPath, Place, Problems, Spot, Unreadable, dotted
from nearkin.recipe.yaml_scalars import CORE_SCHEMA, plain_value
from nearkin.recipe.yaml_syntax import in_plain_words

MAX_DEPTH = 20


def read_document(text: str, name: str, problems: Problems) -> dict[str, Any]:
    """The mapping that a recipe file holds. What is wrong goes to `problems`; it raises where reading cannot go on."""

    def place_of(mark: yaml.Mark) -> Place:
        line, column = mark.line + 1, mark.column + 1
        return Place((0, line, column), f"{name}:{line}:{column}")

    try:
        data = _Composer(text, place_of, problems).read(())
        if isinstance(data, dict):
            return data
        what = "is empty" if data is None else "holds no keys"
        problems.add((), f"the file {what}; a recipe is keys with values, such as 'name: my-run'.")
    except Unreadable as error:
        problems.add_at(error.place, "", error.message)
    problems.raise_any()
    raise AssertionError("a document that is no mapping is always a problem")


def read_value(text: str, path: KeyPath, place: Place, problems: Problems) -> Any:
    """The value of an override, by the same rules; every spot in it is the override. May raise `Unreadable`."""
    composer = _Composer(text, lambda mark: place, problems)
    value = composer.read(path)
    if composer.end < len(text.rstrip()):
        rest = text[composer.end :].strip()
        raise Unreadable(place, f"{rest!r} would be read as a comment: put the value in quotes.")
    return value


class _Composer:
    """Builds plain data from PyYAML's events; what recipes leave out (anchors, tags, ...) is collected as problems."""

    def __init__(self, text: str, place_of: Callable[[yaml.Mark], Place], problems: Problems) -> None:
        _refuse_unprintable(text, place_of)
        self.place_of = place_of
        self.problems = problems
        self.end = 0
        """Where the value ended: a position in the text."""
        self._events: Any = yaml.SafeLoader(text)

    def read(self, path: KeyPath) -> Any:
        """The one document, as the value at `path`."""
        try:
            return self._document(path)
        except yaml.MarkedYAMLError as error:
            mark = cast(yaml.Mark, error.problem_mark or error.context_mark)
            raise Unreadable(self.place_of(mark), in_plain_words(error)) from error

    def _document(self, path: KeyPath) -> Any:
        self._events.get_event()
        start = self._events.get_event()
        place = self.place_of(start.start_mark)
        if isinstance(start, yaml.StreamEndEvent):
            raise Unreadable(place, "there is nothing here: it is empty, or comments alone.")
        if start.version or start.tags:
            self.problems.add_at(place, "", "recipes take no '%' directives: delete the line.")
        value = self._node(path)
        self._events.get_event()
        after = self._events.get_event()
        if not isinstance(after, yaml.StreamEndEvent):
            message = "a second document begins here: a recipe is one document. Delete the '---' or split the file."
            self.problems.add_at(self.place_of(after.start_mark), "", message)
        return value

    def _node(self, path: KeyPath, key: Place | None = None) -> Any:
        event = self._events.get_event()
        place = self.place_of(event.start_mark)
        written = event.value if isinstance(event, yaml.ScalarEvent) and event.style is None else None
        self.problems.spots.setdefault(path, Spot(key or place, place, written))
        value = self._value(event, path, place)
        self._refuse_extras(event, path)
        return value

    def _value(self, event: Any, path: KeyPath, place: Place) -> Any:
        if isinstance(event, yaml.CollectionStartEvent):
            if len(path) >= MAX_DEPTH:
                raise Unreadable(place, f"nested deeper than {MAX_DEPTH} levels.")
            return self._mapping(path) if isinstance(event, yaml.MappingStartEvent) else self._sequence(path)
        self.end = event.end_mark.index
        if isinstance(event, yaml.AliasEvent) or event.style is not None:
            return getattr(event, "value", None)
        try:
            return plain_value(event.value)
        except ValueError:
            self.problems.unread(path, f"a whole number of {len(event.value)} digits cannot be meant.")
            return None

    def _refuse_extras(self, event: Any, path: KeyPath) -> None:
        """After the value, so that silence about what follows from an unread value does not cover what is in it."""
        if isinstance(event, yaml.AliasEvent):
            self.problems.unread(path, f"recipes take no aliases: write the value out instead of '*{event.anchor}'.")
        elif event.anchor is not None:
            self.problems.add(path, f"recipes take no anchors: delete '&{event.anchor}'.")
        if getattr(event, "tag", None) is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            self.problems.unread(path, f"recipes take no tags: delete '{tag}'; for text, use quotes.")

    def _sequence(self, path: KeyPath) -> list[Any]:
        items: list[Any] = []
        while not isinstance(self._events.peek_event(), yaml.SequenceEndEvent):
            items.append(self._node((*path, len(items))))
        self.end = self._events.get_event().end_mark.index
        return items

    def _mapping(self, path: KeyPath) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not isinstance(self._events.peek_event(), yaml.MappingEndEvent):
            key, place = self._key(path)
            value = self._node((*path, key if isinstance(key, str) else "?"), place)
            if not isinstance(key, str):
                continue
            if key in found:
                first = self.problems.spots[*path, key].key
                message = f"the key {key!r} is repeated; it first stands at {first.text}. Delete one of them."
                self.problems.add_at(place, dotted((*path, key)), message)
            found.setdefault(key, value)
        self.end = self._events.get_event().end_mark.index
        return found

    def _key(self, path: KeyPath) -> tuple[Any, Place]:
        event = self._events.peek_event()
        place = self.place_of(event.start_mark)
        key = self._node((*path, "?"))
        if isinstance(event, yaml.ScalarEvent) and not isinstance(key, str):
            self.problems.add_at(place, dotted(path), f'keys are text: write "{event.value}" in quotes.')
        elif not isinstance(key, str) and not isinstance(event, yaml.AliasEvent):
            self.problems.add_at(place, dotted(path), "keys are text, not lists or sections.")
        return key, place


def _refuse_unprintable(text: str, place_of: Callable[[yaml.Mark], Place]) -> None:
    found = yaml.reader.Reader.NON_PRINTABLE.search(text)
    if found:
        before = text[: found.start()]
        mark = yaml.Mark("", found.start(), before.count("\n"), len(before) - before.rfind("\n") - 1, None, 0)
        raise Unreadable(place_of(mark), f"the character U+{ord(found.group()):04X} cannot stand in YAML: delete it.")


class _Dumper(yaml.SafeDumper):
    """Quotes what the reader would take for something else than text, and what readers of YAML 1.1 would (`no`)."""

    def ignore_aliases(self, data: Any) -> bool:
        """The reader takes no aliases, so a value that comes twice is written twice."""
        return True

    def represent_text(self, data: str) -> yaml.ScalarNode:
        """In double quotes wherever a character needs an escape: PyYAML folds some line breaks in single ones."""
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=None if data.isprintable() else '"')


_Dumper.add_representer(str, _Dumper.represent_text)
for _tag, _pattern, _ in CORE_SCHEMA:
    _Dumper.add_implicit_resolver(_tag, _pattern, None)


def write_yaml(data: Any) -> str:
    """Plain data (text keys, lists, numbers, text, true, false, None) as YAML that reads back to the same data."""
    # Leaf sections stay on one line, as people write them; nothing is folded.
    style: dict[str, Any] = {"default_flow_style": None, "width": 2**20, "sort_keys": False, "allow_unicode": True}
    text: str = yaml.dump(data, Dumper=_Dumper, **style)
    return text
