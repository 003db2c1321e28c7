"""Arguments that many calls take, as what they are meant to be, or refused in words: one path, a list of things."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from nearkin.errors import UsageError


def path_of(given: Any, what: str) -> Path:
    """The path of `what`; `UsageError` for anything that is none."""
    if not isinstance(given, (str, os.PathLike)):
        raise UsageError(f"{what}: give a path, as text or a Path, not {_said(given)}.")
    return Path(os.fsdecode(given))


def several(given: Any, name: str) -> tuple[Any, ...]:
    """What stands in a list; `UsageError` for one thing alone, which a text would be taken apart for."""
    if isinstance(given, (str, bytes, os.PathLike)) or not isinstance(given, Iterable):
        raise UsageError(f"{name}: give a list, {name}=[...], not {_said(given)}.")
    return tuple(given)


class PluginLists(NamedTuple):
    """The plugins that a call brings along, and the files of others."""

    plugins: tuple[Any, ...]
    plugin_files: tuple[Any, ...]

    @property
    def given(self) -> dict[str, Any]:
        """As `train`, `resume` and `load_run` take them."""
        return self._asdict()


def plugin_lists(plugins: Any, plugin_files: Any) -> PluginLists:
    """Both as lists; `UsageError` for one thing alone."""
    return PluginLists(several(plugins, "plugins"), several(plugin_files, "plugin_files"))


def _said(given: Any) -> str:
    """`the text 'runs/x/1'`, `None`, `a module`."""
    if given is None:
        return "None"
    return f"the text {given!r}" if isinstance(given, str) else f"a {type(given).__name__}"
