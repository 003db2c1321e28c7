"""The commands that measure or train more than once: compare."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nearkin.cli import show
from nearkin.errors import UsageError

BASELINES = ("pixels", "untrained")


def compare(runs: Sequence[Path], *, seed: int | None, plugins: Sequence[Path], as_json: bool) -> None:
    """`nearkin compare`."""
    from nearkin.experiments import compare as compare_runs

    if seed is not None and seed < 0:
        raise UsageError(f"--seed {seed}: a seed is 0 or more.")
    result = compare_runs(runs, seed=seed, plugin_files=plugins)
    if as_json:
        show.print_json(result)
    else:
        print_comparison(result)


def print_comparison(result: dict[str, Any]) -> None:
    """One block of rows a figure, one row a run; then what must be known to read it."""
    judged, others = judged_figures(result["figures"])
    first, why_not = result["runs"][0]["run"], {one["run"]: one["why_not"] for one in result["runs"]}
    lines = []
    for name, rows in judged.items():
        for place, row in enumerate(rows):
            minus = "" if row["run"] == first else _minus_text(row, why_not[row["run"]])
            baselines = [show.figure_text(row[view]) for view in BASELINES]
            model, heading = row["model"], "" if place else show.named(name, row["model"])
            values = [show.figure_text(model), minus, *baselines, show.chance_text(model), str(model["n"])]
            lines.append([heading, row["run"], *values])
    show.print_table(["figure (95% interval)", "run", "value", "minus the first", *BASELINES, "chance", "n"], lines)
    for one in result["runs"]:
        for said in [*([f"not subtracted: {one['why_not']}"] if one["why_not"] else []), *one["notes"]]:
            print(f"{one['run']}: {said}.")
    if others:
        print(f"Of these neither way is better, so --json alone has them: {', '.join(others)}.")


def judged_figures(figures: dict[str, dict[str, Any]]) -> tuple[dict[str, Any], list[str]]:
    """Rows by figure, of those that say which way is better; and the names of the others.

    All of an evaluator that says so of none. A name that two evaluators use carries the evaluator's.
    """
    names = Counter(name for by_name in figures.values() for name in by_name)
    judged, others = {}, []
    for evaluator, by_name in figures.items():
        says = {name: any(row["model"]["better"] for row in rows) for name, rows in by_name.items()}
        for name, rows in by_name.items():
            full = f"{evaluator}: {name}" if names[name] > 1 else name
            if says[name] or not any(says.values()):
                judged[full] = rows
            else:
                others.append(full)
    return judged, others


def _minus_text(row: dict[str, Any], why_not: str) -> str:
    """The paired difference, or that there is none."""
    return show.figure_text(row["minus_first"]) if row["minus_first"] else "not comparable" if why_not else "none"
