"""How things look on a terminal: tables on stdout, messages and bars on stderr."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from nearkin.contracts import Answer
from nearkin.contracts.figures import expected_text, figure_text, over_text, resampled_text
from nearkin.errors import printable
from nearkin.training.watch import BAR_AFTER_SECONDS


def message(text: str) -> None:
    """A line for people, on stderr."""
    print(printable(text, but="\n"), file=sys.stderr, flush=True)


@contextmanager
def busy(text: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal's stderr once this takes a while; it moves where it is told how many of how many are done."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bars:
        task = bars.add_task(text, total=None, visible=False)
        shown = threading.Timer(BAR_AFTER_SECONDS, bars.update, [task], {"visible": True})
        shown.daemon = True
        shown.start()
        try:
            yield lambda done, total: bars.update(task, completed=done, total=total)
        finally:
            shown.cancel()


def print_json(value: Any) -> None:
    """JSON for programs, on stdout. Where a code page cannot say a character, as an escape that JSON knows."""
    says_all = (getattr(sys.stdout, "encoding", None) or "utf-8").lower().replace("-", "") == "utf8"
    print(json.dumps(value, indent=1, ensure_ascii=not says_all))


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A plain table; as wide as it needs to be where nobody is watching, so that nothing is cut off in a file."""
    table = Table(*headings, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*map(printable, row))
    width = None if sys.stdout.isatty() else 10_000
    console = Console(markup=False, highlight=False, width=width)
    console.print(table)


def named(name: str, figure: dict[str, Any]) -> str:
    """The figure's name, marked where lower is better."""
    return f"{name} (lower is better)" if figure.get("better") == "lower" else name


def mean_text(mean: dict[str, Any] | None) -> str:
    """`0.931 [0.902, 0.957]`; the mean alone where one draw has no interval."""
    return "" if mean is None else figure_text(mean)


def chance_text(figure: dict[str, Any]) -> str:
    """What chance scores; empty where nothing says so, as in figures that an older nearkin kept."""
    chance = figure.get("chance")
    return "" if chance is None else f"{chance:.3f}"


def print_figures(figures: dict[str, dict[str, list[dict[str, Any]]]]) -> None:
    """One row a figure, one column a view; then the notes of figures that could not be measured."""
    views = ["model", "pixels", "untrained", "model - pixels"]
    rows, notes = [], []
    for by_view in figures.values():
        found = {view: {figure["name"]: figure for figure in by_view.get(view, [])} for view in views}
        for name, figure in found["model"].items():
            values = [figure_text(found[view][name]) if name in found[view] else "" for view in views]
            rows.append([named(name, figure), *values, chance_text(figure), resampled_text(figure)])
            if figure["value"] is None:
                notes.append(f"{name}: {figure['note']}")
    print_table(["figure (95% interval)", *views, "chance", "resampled"], rows)
    for by_view in figures.values():
        _print_details(by_view["model"])
    for note in notes:
        print(note)


def _print_details(figures: list[dict[str, Any]]) -> None:
    """The model's confusion matrix, what alpha allows, intervals over episodes and classes, and what took no part."""
    left: dict[str, list[str]] = {}
    for figure in figures:
        details = figure["details"]
        if "confusion" in details:
            print("\nrows: true class, columns: the model's answer")
            rows = zip(details["rows"], details["confusion"], strict=True)
            print_table(["", *details["columns"]], [[label, *map(str, counts)] for label, counts in rows])
            print()
        if "expected" in details:
            print(f"{figure['name']}: {figure['value']:.3f}; {expected_text(details)}")
        if said := over_text(details):
            print(f"{figure['name']}: {said}")
        left_out = ", ".join(f"{n} ({why})" for why, n in details.get("left_out", {}).items() if n)
        if left_out:
            left.setdefault(left_out, []).append(figure["name"])
    for left_out, names in left.items():
        print(f"{', '.join(names)}: left out: {left_out}")


def print_answers(images: Sequence[str], answers: Sequence[Answer], *, as_json: bool) -> None:
    """An answer an image."""
    if as_json:
        print_json([{"image": image, **answer.as_dict()} for image, answer in zip(images, answers, strict=True)])
        return
    rows = [_answer_row(image, answer) for image, answer in zip(images, answers, strict=True)]
    print_table(["image", "status", "nearest", "distance", "p-values", "reason"], rows)


def _answer_row(image: str, answer: Answer) -> list[str]:
    """One answer as a line of a table."""
    at_most = dict.fromkeys(answer.bounds, "<=")
    values = " ".join(f"{label}{at_most.get(label, '=')}{p:.2f}" for label, p in answer.p_values.items())
    return [image, answer.status or "none", answer.label, f"{answer.distance:.4g}", values, answer.reason]
