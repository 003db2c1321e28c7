"""Epochs to a target, from the base and from ImageNet weights."""

from __future__ import annotations

import statistics
from collections.abc import Mapping

from nearkin import load_run
from nearkin.experiments.race import Attempt
from nearkin.experiments.race import race as of_attempts
from xray_figures.bases import base
from xray_figures.keeping import Kept, kept, minutes

SEEDS, TARGET, STARTS = 5, 0.85, ("base", "ImageNet")
RACES: dict[str, Mapping[str, object]] = {
    "the head alone": {"backbone.freeze": "all", "train.epochs": 1600, "every": 25, "embed": {"views": 1}},
    "the head and the last six blocks": {"train.epochs": 300, "every": 3, "embed": {"views": 1}},
}


def race(learns: str) -> None:
    """Epochs until a pair AUC on select reaches the target: from the base and from ImageNet weights."""
    sides = {start: [racer(start, learns, seed) for seed in range(SEEDS)] for start in STARTS}
    print("| begins from | learns | reached | epochs to target | best on select | CPU minutes |")
    print("|---|---|---|---|---|---|")
    for start, runs in sides.items():
        reached = sum(one["steps_to_target"] is not None for one in runs)
        best = statistics.fmean(one["select_pair_auc"] for one in runs)
        epochs = ", ".join(map(epochs_told, runs))
        print(f"| {start} | {learns} | {reached} of {len(runs)} | {epochs} | {best:.3f} | {minutes(runs):.1f} |")
    attempts = [Attempt.of(load_run(one["run"])) for start in reversed(STARTS) for one in sides[start]]
    found = of_attempts(attempts)
    assert found, "every racer sets a target"
    print(f"\nTimes as fast: {found['recipes'][1]['times_as_fast']}.")


def epochs_told(one: Kept) -> str:
    """The epochs to the target, or that it was not reached; an epoch of thirty pairs is one step."""
    return f"not in {one['steps']}" if one["epochs_to_target"] is None else f"{one['epochs_to_target']:g}"


def racer(start: str, learns: str, seed: int) -> Kept:
    """One run to the target. Both begin with the same settings but for the backbone's weights."""
    how = RACES[learns]
    stop = {"every": how["every"], "patience": 100_000, "target": TARGET, "stop_at_target": True}
    rest = {key: value for key, value in how.items() if key != "every"}
    settings = {
        "seed": seed,
        "data.held_out_seed": 0,
        "train.early_stopping": stop,
        "name": f"race-{start}-{learns.replace(' ', '-')}",
        **rest,
    }
    if start == "base":
        settings["backbone.init_from"] = base(0)["run"]
    return kept(f"race-{start}-{learns.replace(' ', '-')}-{seed}", "cxr3-siamese-imagenet", settings)
