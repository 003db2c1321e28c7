"""A run trained again from its recipe, and how far weights, metrics and figures are from what they were."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nearkin.errors import UsageError
from nearkin.evaluation import evaluate
from nearkin.evaluation.views import reopen_data
from nearkin.run import Run, load_run
from nearkin.training import train
from nearkin.training.watch import Watch, watching

CIRCUMSTANCES = ("versions", "components", "device", "processes")


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
    brought: dict[str, Any] = {"plugins": tuple(plugins), "plugin_files": tuple(plugin_files)}
    old = run if isinstance(run, Run) else load_run(run, **brought)
    with watching(watch) as eyes:
        reopen_data(old, eyes)
        again = train(old.recipe, runs=old.path.parents[1] if runs is None else runs, watch=eyes, **brought)
        figures = figure_numbers(evaluate(again, watch=eyes)["figures"]) if old.evaluations else None
    parts = {
        "weights": apart(weight_numbers(old), weight_numbers(again)),
        "metrics": apart(metric_numbers(old.metrics), metric_numbers(again.metrics)),
    }
    if figures is not None:
        parts["figures"] = apart(figure_numbers(old.evaluations["figures"]), figures)
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
    return {
        name: {"was": was.get(name), "now": now.get(name)} for name in CIRCUMSTANCES if was.get(name) != now.get(name)
    }


def weight_numbers(run: Run) -> dict[str, Any]:
    """Every tensor of the model, by its name."""
    return {name: tensor.detach().cpu().double().numpy() for name, tensor in run.model.state_dict().items()}


def metric_numbers(lines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Every value of metrics.jsonl, by line and name."""
    return {f"line {number}, {name}": value for number, line in enumerate(lines, 1) for name, value in line.items()}


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
    for name, distance, count in _distances(was, now):
        compared += count
        if distance is None:
            return Apart(None, f"{name} was {_said(was[name])} and is {_said(now[name])}", compared)
        if distance > largest:
            largest, where = distance, name
    return Apart(largest, where, compared)


def _distances(was: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, float | None, int]]:
    for name, old in was.items():
        new = now[name]
        if isinstance(old, np.ndarray) and old.shape == new.shape:
            yield name, float(np.abs(old - new).max(initial=0.0)), old.size
        elif _is_number(old) and _is_number(new):
            yield name, abs(old - new), 1
        else:
            yield name, 0.0 if np.array_equal(old, new) else None, 0


def _said(value: Any) -> str:
    """In few words."""
    return f"of shape {value.shape}" if isinstance(value, np.ndarray) else repr(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
