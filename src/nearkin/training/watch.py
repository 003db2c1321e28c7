"""Where long work tells how it goes: messages, and a bar once it takes a while."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

BAR_AFTER_SECONDS = 2.0


@dataclass(frozen=True)
class Watch:
    """Silent unless told otherwise."""

    message: Callable[[str], None] = lambda _: None
    progress: Callable[[str, int, int], None] = lambda _text, _done, _total: None
    """What is being done, how much of it, of how much. The first word names the stage."""


@contextmanager
def watching(given: Watch | None) -> Iterator[Watch]:
    """The watch that was given; else messages and a bar on stderr, the bar on a terminal only."""
    if given is not None:
        yield given
        return
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bars:
        yield Watch(lambda text: print(text, file=sys.stderr, flush=True), _Bars(bars))


class _Bars:
    """One bar a stage, shown once the stage has taken over two seconds, gone when it is done."""

    def __init__(self, bars: Progress) -> None:
        self.bars = bars
        self.stages: dict[str, tuple[TaskID, float]] = {}

    def __call__(self, text: str, done: int, total: int) -> None:
        stage = text.split()[0]
        if stage not in self.stages:
            self.stages[stage] = (self.bars.add_task(text, total=total, visible=False), time.monotonic())
        task, started = self.stages[stage]
        visible = done < total and time.monotonic() - started > BAR_AFTER_SECONDS
        self.bars.update(task, total=total, completed=done, description=text, visible=visible)
