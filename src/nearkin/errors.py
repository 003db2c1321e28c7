"""Every error a user can meet: its exit code, and the one shape of its wording (what, where, the mend)."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass


class NearkinError(Exception):
    """The base of all of them. `exit_code` is what the command line ends with."""

    exit_code = 1


class WorkFailed(NearkinError):
    """The request was sound, the work could not be done: a NaN loss, a device that is not there."""


class DataError(NearkinError):
    """Images, labels or splits that cannot be used as asked."""


class IndexCallError(NearkinError):
    """A call on the index that cannot be answered: wrong dimensions, NaN, an id used twice."""


class PluginError(NearkinError):
    """A plugin is missing or broken, and what was asked needs it."""

    exit_code = 3


class PartError(PluginError):
    """The code of a part raised something of its own."""


@contextmanager
def blaming(who: str, *, but: type[Exception] = NearkinError) -> Iterator[None]:
    """Whatever a part's code raises names the part; SystemExit too, which would end the program as if all were done.

    nearkin's own errors say enough, and those of `but`.
    """
    try:
        yield
    except (NearkinError, but):
        raise
    except (Exception, SystemExit) as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise PartError(f"{who} raised {said.rstrip(':.')}. 'nearkin --debug ...' shows the line.") from error


class DamagedError(NearkinError):
    """A file on disk is damaged, missing, or does not belong with the others."""

    exit_code = 4


class UsageError(NearkinError):
    """A command line or a Python call that cannot be meant."""

    exit_code = 2


class NoIndexError(UsageError):
    """An index was asked for where the method can have none."""


@dataclass(frozen=True, order=True)
class Problem:
    """One thing wrong in a recipe. `where` is `file:line:column`, or the override that said it."""

    where: str
    key: str
    message: str
    missing_plugin: bool = False

    def __str__(self) -> str:
        return f"{self.where} {self.key}: {self.message}" if self.key else f"{self.where} {self.message}"


class RecipeError(NearkinError):
    """All the problems of one recipe at once, in the order of their places."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    @property
    def exit_code(self) -> int:  # type: ignore[override]  # a class constant elsewhere, decided here
        """3 where all that is wrong is a plugin that is not there, else 2."""
        return 3 if all(problem.missing_plugin for problem in self.problems) else 2


def did_you_mean(name: str, valid: Iterable[str]) -> str:
    """` Did you mean 'x'?` for the nearest valid name, or nothing where none is near.

    By the whole name, else by its beginning, so that `tripelt` finds `triplet_margin`.
    """
    names = sorted(valid)
    whole = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if whole:
        return f" Did you mean {whole[0]!r}?"
    beginnings = {known[: len(name)]: known for known in reversed(names)}
    near = difflib.get_close_matches(name, beginnings, n=1, cutoff=0.75) if len(name) > 3 else []
    return f" Did you mean {beginnings[near[0]]!r}?" if near else ""


def listing(names: Iterable[str], most: int = 10, *, total: int | None = None) -> str:
    """`a, b, c and 7 more`: a list that stays readable, its full length never hidden.

    `total`: how many there are, where the names are but the first of them, `most` at the least.
    """
    all_names = list(names)
    n = len(all_names) if total is None else total
    shown = ", ".join(all_names[:most])
    return f"{shown} and {n - most} more" if n > most else shown


def printable(text: str, *, but: str = "") -> str:
    """Control characters but those of `but` as escapes (`\\x1b`, `\\n`): a file's name must not steer a terminal."""
    return "".join(
        repr(letter)[1:-1] if letter not in but and (letter < " " or "\x7f" <= letter <= "\x9f") else letter
        for letter in text
    )
