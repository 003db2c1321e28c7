"""A run trained again from its recipe, and how far weights, metrics and figures are from what they were."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nearkin.arguments import plugin_lists
from nearkin.device import processes_launched
from nearkin.errors import UsageError
from nearkin.evaluation import evaluate
from nearkin.evaluation.views import reopen_data
from nearkin.experiments.cross_conformal import train
from nearkin.provenance import changed
from nearkin.run import Run, load_run
from nearkin.training.watch import Watch, watching


@dataclass(frozen=True)
class Apart:
    """How far one part of a run is from what it was."""

    largest: float | None
    """The largest absolute difference of any number; `None` where something has no counterpart."""
    where: str
    """Where that is; empty where nothing differs."""
    compared: int
    """How many numbers were compared."""

    def within(self, tolerance: float) -> bool:
        """Whether everything has a counterpart no farther than this."""
        return self.largest is not None and self.largest <= tolerance


def reproduce(
    run: Run | Path | str,
    *,
    tolerance: float = 0.0,
    runs: Path | str | None = None,
    plugins: Iterable[Any] = (),
    plugin_files: Iterable[Path | str] = (),
    watch: Watch | None = None,
) -> dict[str, Any]:
    """Train a finished run again from its recipe, evaluate it where it was evaluated, and compare.

    `tolerance`: the largest absolute difference allowed; 0 holds on one machine with the versions it was made with.
    The new run is a normal one, beside the old or under `runs`. Returns plain JSON: {"reproduced": bool, "again": its
    path, "parts": {"weights" | "metrics" | "figures": {"largest", "where", "compared", "within"}}, "differs": {...}}.
    `DamagedError` where the images are not what they were: then nothing is trained.
    """
    if not (math.isfinite(tolerance) and tolerance >= 0):
        raise UsageError(f"reproduce: tolerance {tolerance}: it is the largest difference allowed, 0 or more.")
    if processes_launched() > 1:
        raise UsageError("reproduce: it trains, measures and compares in one process; launch one.")
    brought = plugin_lists(plugins, plugin_files).given
    old = run if isinstance(run, Run) else load_run(run, **brought)
    if old.recipe.data.fold is not None:
        raise UsageError(f"{old.path}: a fold of another run, which trains it again. Reproduce that one.")
    with watching(watch) as eyes:
        reopen_data(old, eyes)
        again = train(old.recipe, runs=folder_of_runs(old) if runs is None else runs, watch=eyes, **brought)
        if old.evaluations:
            evaluate(again, watch=eyes)
    return beside(old, again, tolerance)


def folder_of_runs(run: Run) -> Path:
    """RUNS of RUNS/NAME/NUMBER; of a run that was copied elsewhere, the folder that it lies in."""
    name = run.recipe.name
    place = run.path if run.path.parent.name == name else run.path.resolve()
    return place.parents[1] if place.parent.name == name else place.parent


def beside(old: Run, again: Run, tolerance: float) -> dict[str, Any]:
    """What `reproduce` returns, of two runs of one recipe."""
    parts = {
        "weights": apart(weight_numbers(old), weight_numbers(again)),
        "metrics": apart(metric_numbers(old), metric_numbers(again)),
    }
    if old.evaluations:
        both = (figure_numbers(one.evaluations["figures"]) for one in (old, again))
        parts["figures"] = apart(*both)
    return {
        "run": str(old.path),
        "again": str(again.path),
        "tolerance": tolerance,
        "reproduced": all(part.within(tolerance) for part in parts.values()),
        "parts": {name: {**asdict(part), "within": part.within(tolerance)} for name, part in parts.items()},
        "differs": differing(old.facts, again.facts),
    }


def differing(was: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """Circumstances that are not what they were, which may be why the numbers are not."""
    names = changed(was, now, "ancestors")
    told = {name: {"was": _other(was[name], now[name]), "now": _other(now[name], was[name])} for name in names}
    # What was other from some step on, where a run was resumed on another machine or by other versions.
    resumed = {"was": was.get("resumed", []), "now": now.get("resumed", [])}
    return told if resumed["was"] == resumed["now"] else {**told, "resumed": resumed}


def _other(one: Any, than: Any) -> Any:
    """What of a fact is not in the other: of many versions those that changed."""
    if isinstance(one, Mapping):
        return {name: value for name, value in one.items() if than.get(name) != value}
    return [value for value in one if value not in than] if isinstance(one, list) else one


def with_folds(run: Run) -> Iterator[tuple[str, Run]]:
    """The run, and the folds that calibrate it, each with what its numbers' names begin with."""
    yield "", run
    yield from ((f"fold {number}, ", fold) for number, fold in enumerate(run.folds, 1))


def weight_numbers(run: Run) -> dict[str, Any]:
    """Every tensor of its models, by its name."""
    return {
        prefix + name: tensor.detach().double().numpy()
        for prefix, one in with_folds(run)
        for name, tensor in one.model.state_dict().items()
    }


def metric_numbers(run: Run) -> dict[str, Any]:
    """Every value of metrics.jsonl, by line and name."""
    return {
        f"{prefix}line {number}, {name}": value
        for prefix, one in with_folds(run)
        for number, line in enumerate(one.metrics, 1)
        for name, value in line.items()
    }


def figure_numbers(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Every figure's value and interval, by evaluator, view and name."""
    return {
        f"{evaluator}, {view}, {figure['name']}, {part}": figure[part]
        for evaluator, by_view in figures.items()
        for view, found in by_view.items()
        for figure in found
        for part in ("value", "low", "high")
    }


def apart(was: Mapping[str, Any], now: Mapping[str, Any]) -> Apart:
    """The largest difference of numbers (or arrays) of the same name. Anything else must be equal."""
    missing = sorted(set(was) ^ set(now))
    if missing:
        return Apart(None, f"{missing[0]} is in one of the two alone", 0)
    largest, where, compared = 0.0, "", 0
    for name, old in was.items():
        compared += _count(old)
        distance = _distance(old, now[name])
        if distance is None:
            return Apart(None, f"{name} was {_said(old)} and is {_said(now[name])}", compared)
        if distance > largest:
            largest, where = distance, name
    return Apart(largest, where, compared)


def _distance(old: Any, new: Any) -> float | None:
    """The largest absolute difference; `None` where the two are unlike and no number says how far."""
    if not (isinstance(old, np.ndarray) or (_is_number(old) and _is_number(new))):
        return 0.0 if old == new else None
    if np.shape(old) != np.shape(new):
        return None
    if np.array_equal(old, new, equal_nan=True):
        return 0.0
    distance = float(np.abs(np.subtract(old, new)).max())
    return distance if math.isfinite(distance) else None


def _count(value: Any) -> int:
    return value.size if isinstance(value, np.ndarray) else int(_is_number(value))


def _said(value: Any) -> str:
    """In few words."""
    return f"of shape {value.shape}" if isinstance(value, np.ndarray) else repr(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
