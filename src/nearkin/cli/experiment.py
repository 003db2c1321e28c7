"""The commands that measure or train more than once: compare, reproduce, choose-space, several recipes or seeds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nearkin.cli import show
from nearkin.cli.race import print_race
from nearkin.contracts.figures import counted, figure_text, resampled_text
from nearkin.errors import UsageError, WorkFailed

if TYPE_CHECKING:
    from nearkin.experiments.sweeps import Sweep

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


def reproduce(run: Path, *, tolerance: float, runs: Path | None, plugins: Sequence[Path], as_json: bool) -> None:
    """`nearkin reproduce`; `WorkFailed` where it is not reproduced."""
    from nearkin.experiments import reproduce as reproduce_run

    result = reproduce_run(run, tolerance=tolerance, runs=runs, plugin_files=plugins)
    if as_json:
        show.print_json(result)
    else:
        print_reproduction(result)
    if not result["reproduced"]:
        why = "; what else differs is listed above" if result["differs"] else ""
        raise WorkFailed(f"{run}: not reproduced within {tolerance:g}{why}. The new run is {result['again']}.")


def print_reproduction(result: dict[str, Any]) -> None:
    """One row a part, then the circumstances that are others now; the last line is the new run's folder."""
    rows = []
    for name, part in result["parts"].items():
        largest = "no counterpart" if part["largest"] is None else f"{part['largest']:.3g}"
        rows.append([name, largest, str(part["compared"]), part["where"]])
    show.print_table(["part", "largest difference", "numbers", "where"], rows)
    for name, both in result["differs"].items():
        print(f"{name} differ: was {both['was']}, now {both['now']}")
    print(result["again"])


def print_comparison(result: dict[str, Any]) -> None:
    """One block of rows a figure, one row a run; then what must be known to read it."""
    judged, others = judged_figures(result["figures"])
    first, why_not = result["runs"][0]["run"], {one["run"]: one["why_not"] for one in result["runs"]}
    lines = []
    for name, rows in judged.items():
        for place, row in enumerate(rows):
            minus = "" if row["run"] == first else _minus_text(row, why_not[row["run"]])
            baselines = [figure_text(row[view]) if view in row else "" for view in BASELINES]
            model, heading = row["model"], "" if place else show.named(name, row["model"])
            values = [figure_text(model), minus, *baselines, show.chance_text(model), resampled_text(model)]
            lines.append([heading, row["run"], *values])
    headings = ["figure (95% interval)", "run", "value", "minus the first", *BASELINES, "chance", "resampled"]
    show.print_table(headings, lines)
    print_race(result["race"])
    for one in result["runs"]:
        for said in [*([f"not subtracted: {one['why_not']}"] if one["why_not"] else []), *one["notes"]]:
            print(f"{one['run']}: {said}.")
    if others:
        print(f"Of these neither way is better, so --json alone has them: {', '.join(others)}.")


def choose_space(
    recipe: str,
    overrides: Sequence[str],
    *,
    spaces: Sequence[str],
    scores: Sequence[str],
    plugins: Sequence[Path],
    as_json: bool,
) -> None:
    """`nearkin choose-space`."""
    from nearkin.experiments import choose_space as choose

    result = choose(recipe, spaces=spaces, scores=scores, overrides=overrides, plugin_files=plugins)
    if as_json:
        show.print_json(result)
    else:
        print_spaces(result)


def print_spaces(result: dict[str, Any]) -> None:
    """One row a candidate; then the line to put in the recipe, and how far to trust it."""
    rows = result["candidates"]
    lines = [
        [one["said"], show.mean_text(one["mean"]), show.mean_text(one["minus_first"])]
        + [figure_text(figure) for figure in one["classes"].values()]
        for one in rows
    ]
    classes = [f"without {label}" for label in rows[0]["classes"]]
    show.print_table(["score; space", f"{result['figure']}, mean", "minus the recipe's own", *classes], lines)
    best = rows[result["best"]]
    print(f"\nBest in the mean over classes ({best['mean']['value']:.3f}):\n\n{best['line']}")
    gain = best["minus_first"]
    if gain is None:
        print("That is the recipe as it is.")
    elif gain["low"] is None or gain["low"] <= 0:
        print("Over so few classes that is not shown to be better than the recipe as it is.")
    print("The best of several looks better here than it is; 'nearkin evaluate' measures it on test images, once.")


def is_sweep(folder: Path) -> bool:
    """Whether `--resume` was given a sweep."""
    from nearkin.experiments.sweeps import is_sweep

    return is_sweep(folder)


def resume_sweep(folder: Path, *, plugins: Sequence[Path], as_json: bool) -> None:
    """`nearkin train --resume SWEEP`."""
    from nearkin.experiments.sweeps import resume_sweep

    _print_sweep(resume_sweep(folder, plugin_files=plugins), as_json)


def sweep(
    recipes: Sequence[str],
    overrides: Sequence[str],
    *,
    seeds: int | None,
    leave_one_class_out: bool,
    runs: Path,
    plugins: Sequence[Path],
    as_json: bool,
) -> None:
    """`nearkin train` with several recipes or seeds."""
    from nearkin.experiments.sweeps import sweep

    done = sweep(
        recipes,
        overrides=overrides,
        seeds=seeds,
        leave_one_class_out=leave_one_class_out,
        plugin_files=plugins,
        runs=runs,
    )
    _print_sweep(done, as_json)


def _print_sweep(done: Sweep, as_json: bool) -> None:
    """The table; `WorkFailed` where a training failed."""
    from nearkin.experiments.tables import table

    result = table(done)
    if as_json:
        show.print_json(result)
    else:
        _print_table(result)
        print(done.path)
    failed = [one for one in result["trainings"] if not one["finished"]]
    if failed:
        reasons = "\n".join(f"{one['recipe']}, seed {one['seed']}: {one['problem']}" for one in failed)
        raise WorkFailed(f"{len(failed)} of {len(result['trainings'])} trainings failed:\n{reasons}")


def _print_table(result: dict[str, Any]) -> None:
    """One block of rows a figure, one row a recipe."""
    judged, others = judged_figures(result["figures"])
    lines = []
    for name, rows in judged.items():
        for place, row in enumerate(rows):
            heading = "" if place else show.named(name, row)
            who = row["recipe"] if row["held_out"] is None else f"{row['recipe']} without {row['held_out']}"
            if row["over"] == "classes":
                who = f"{row['recipe']}, mean over classes"
            values = [show.mean_text(row[view]) for view in ("model", "minus_first", *BASELINES)]
            spread = "" if row["model"] is None else f"{row['model']['least']:.3f} to {row['model']['most']:.3f}"
            draws = "" if row["model"] is None else counted(row["model"]["draws"], row["over"])
            lines.append([heading, who, *values, spread, show.chance_text(row), draws])
    means = [row["model"] for rows in judged.values() for row in rows if row["model"] is not None]
    figure = "figure (95% over draws)" if any(mean["low"] is not None for mean in means) else "figure"
    headings = [figure, "recipe", "mean", "minus the first", *BASELINES, "worst to best", "chance"]
    show.print_table([*headings, "draws"], lines)
    print_race(result["race"])
    for note in result["notes"]:
        print(f"{note}.")
    if others:
        print(f"Of these neither way is better, so --json alone has them: {', '.join(others)}.")


def judged_figures(figures: dict[str, dict[str, Any]]) -> tuple[dict[str, Any], list[str]]:
    """Rows by figure, of those that say which way is better; and the names of the others.

    All of an evaluator that says so of none. A name that two evaluators use carries the evaluator's.
    """
    names = Counter(name for by_name in figures.values() for name in by_name)
    judged, others = {}, []
    for evaluator, by_name in figures.items():
        says = {name: any(_better(row) for row in rows) for name, rows in by_name.items()}
        for name, rows in by_name.items():
            full = f"{evaluator}: {name}" if names[name] > 1 else name
            if says[name] or not any(says.values()):
                judged[full] = rows
            else:
                others.append(full)
    return judged, others


def _better(row: dict[str, Any]) -> Any:
    """Which way is better: said of the row in a sweep, of the figure in a comparison."""
    return row["better"] if "better" in row else row["model"]["better"]


def _minus_text(row: dict[str, Any], why_not: str) -> str:
    """The paired difference, or that there is none."""
    return figure_text(row["minus_first"]) if row["minus_first"] else "not comparable" if why_not else "none"
