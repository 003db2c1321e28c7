"""Where a training tells how it goes: messages, and a bar once it takes a while."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

BAR_AFTER_SECONDS = 2.0


@dataclass(frozen=True)
class Progress:
    """What is told after every step."""

    step: int
    total: int
    loss: float
    score: float | None
    """The latest on select."""


@dataclass(frozen=True)
class Watch:
    """Silent unless told otherwise."""

    message: Callable[[str], None] = lambda _: None
    progress: Callable[[Progress], None] = lambda _: None


@contextmanager
def watching(given: Watch | None) -> Iterator[Watch]:
    """The watch that was given; else messages and a bar on stderr, the bar on a terminal only."""
    if given is not None:
        yield given
        return
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        yield Watch(lambda text: print(text, file=sys.stderr, flush=True), _updates(bar))


def _updates(bar: Bar) -> Callable[[Progress], None]:
    task = bar.add_task("training", total=None, visible=False)
    started = time.monotonic()

    def update(progress: Progress) -> None:
        text = f"loss {progress.loss:.4f}"
        if progress.score is not None:
            text += f"  select {progress.score:.4f}"
        visible = time.monotonic() - started > BAR_AFTER_SECONDS
        bar.update(task, total=progress.total, completed=progress.step, description=text, visible=visible)

    return update
