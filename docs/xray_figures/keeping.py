"""X-ray figures: each run's are kept as it ends, and a second call goes on where the first stopped."""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nearkin import train
from nearkin.data import ImageStore, load_data
from nearkin.evaluation.differences import with_differences
from nearkin.evaluation.measure import by_view, make_evaluators
from nearkin.evaluation.views import spaces, view
from nearkin.experiments import mean_over
from nearkin.files import to_json, write_atomic
from nearkin.run import Run
from nearkin.training.watch import Watch

OUT = Path("runs/figures/xrays")
CLASSES = ("covid", "viral_pneumonia", "normal")
SPLITS = ("public split", "leaks dropped")
ALL_VIEWS = ("model", "pixels", "untrained")
CXR3 = "cxr3/manifest.csv"
FACTS = ("steps", "ended", "kept_step", "select_pair_auc", "target", "steps_to_target", "epochs_to_target")
Kept = dict[str, Any]


def kept(
    name: str, recipe: str, overrides: Mapping[str, object], *, split: str = "", names: Sequence[str] = ALL_VIEWS
) -> Kept:
    """The run of that name: its figures, steps and time; trained now where it is not kept yet.

    With `split`, the figures of that way to count the test images; without, the run alone.
    """
    file = OUT / f"{name}.json"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(file, to_json(made(name, recipe, overrides, names if split else ())))
    found: Kept = json.loads(file.read_bytes())
    return {**found, "figures": found["figures"][split]} if split else found


def made(name: str, recipe: str, overrides: Mapping[str, object], names: Sequence[str]) -> Kept:
    """Train, and measure in the views of these names."""
    wall, cpu = time.monotonic(), time.process_time()
    run = train(recipe, overrides=overrides, watch=Watch())
    spent = {"train_wall_seconds": time.monotonic() - wall, "train_cpu_seconds": time.process_time() - cpu}
    facts = {key: run.facts.get(key) for key in FACTS}
    figures = measured(run, names) if names else {}
    say(f"{name}: {run.path}, {spent['train_wall_seconds']:.0f} s; {facts}")
    return {"recipe": recipe, "settings": dict(overrides), "run": str(run.path), **spent, **facts, "figures": figures}


def measured(run: Run, names: Sequence[str]) -> Kept:
    """By split and evaluator; both splits ask one set of views, in the second the leaks count as seen."""
    source, dataset = load_data(run.recipe.data, run.recipe.seed)
    store = ImageStore.load(source, dataset.all_items(), run.model.input)
    views = [view(space, run, dataset, store) for space in spaces(run, store, Watch()) if space.name in names]
    _, without = load_data(run.recipe.data.model_copy(update={"drop_leaks": run.recipe.data.path == CXR3}), 0)
    leaks = [item for item in dataset.items["test"] if item.key in without.dropped]
    seen = {"public split": frozenset[str](), "leaks dropped": frozenset(store.digests(leaks))}
    evaluators = make_evaluators(run, run.recipe.evaluate, run.recipe.seed)
    return {
        split: {
            name: with_differences(
                by_view(name, evaluator, [replace(one, seen_digests=one.seen_digests | more) for one in views])
            )
            for name, evaluator in evaluators.items()
        }
        for split, more in seen.items()
    }


def value(one: Kept, figure: str, view: str = "model") -> float | None:
    """A figure of a kept run."""
    found = [f for views in one["figures"].values() for f in views.get(view, ()) if f["name"] == figure]
    return found[0]["value"] if found else None


def bounds(one: Kept, figure: str, view: str = "model") -> tuple[float, float]:
    """Its interval over images."""
    (found,) = [f for views in one["figures"].values() for f in views[view] if f["name"] == figure]
    return found["low"], found["high"]


def cell(done: Sequence[Kept], figure: str, view: str = "model") -> str:
    """Mean over draws with the interval over images (the mean of the draws' bounds, who share their test images)."""
    values = [value(one, figure, view) for one in done]
    if None in values or not values:
        return ""
    low, high = (statistics.fmean(side) for side in zip(*(bounds(one, figure, view) for one in done), strict=True))
    return f"{statistics.fmean(v for v in values if v is not None):.3f} [{low:.3f}, {high:.3f}]"


def spread(done: Sequence[Kept], figure: str) -> str:
    """Worst to best draw."""
    values = [v for one in done if (v := value(one, figure)) is not None]
    return f"{min(values):.3f} to {max(values):.3f}" if values else ""


def over_draws(done: Sequence[Kept], figure: str, view: str = "model") -> str:
    """Mean over draws with Student's t."""
    values = [v for one in done if (v := value(one, figure, view)) is not None]
    return (
        str(mean_over(values, [str(place) for place in range(len(values))])) if len(values) > 1 else f"{values[0]:.3f}"
    )


def minutes(runs: Sequence[Kept]) -> float:
    """Of CPU, in the mean."""
    return statistics.fmean(one["train_cpu_seconds"] for one in runs) / 60


def known_flagged(runs: Sequence[Kept]) -> str:
    """The share of known images with their own p-value at most alpha, and in how many cases within what n allows."""
    own = [f for one in runs for f in one["figures"]["open_set"]["model"] if f["name"].startswith("own_p_")]
    told = [(f["value"], f["details"]["expected"]) for f in own]
    share, expected = (statistics.fmean(found) for found in zip(*told, strict=True))
    inside = sum(f["details"]["inside"] for f in own)
    return f"{share:.3f}, expected {expected:.3f}; {inside} of {len(own)} within"


def say(text: str) -> None:
    """Progress, apart from the tables."""
    print(text, file=sys.stderr, flush=True)
