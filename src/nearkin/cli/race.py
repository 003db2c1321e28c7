"""The race to a target as a terminal shows it: how many got there, how fast, and each seed's way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nearkin.cli import show

FAST = "times as fast as the first (95%)"
HEADINGS = ("recipe", "reached", "median steps", "median epochs", FAST, "settings tried")


def print_race(race: Mapping[str, Any] | None) -> None:
    """Nothing where no recipe sets a target."""
    if race is None:
        return
    if race["target"] is None:
        print(f"\n{race['recipes'][0]['recipe']} sets no target on select, so nobody's steps stand beside its own.")
        return
    budget = f"{race['steps']} steps" if race["steps"] else f"{race['epochs']} epochs"
    rules = f"{budget}, a look every {race['every']} steps, patience {race['patience']}"
    print(f"\nTo a target of {race['target']} on select, as the first recipe set it before its first run ({rules}):")
    first, *others = race["recipes"]
    show.print_table(HEADINGS, [_row(first, "")] + [_row(one, _fast(one)) for one in others])
    print()
    seeds = dict.fromkeys(attempt["seed"] for one in race["recipes"] for attempt in one["attempts"])
    ways = {one["recipe"]: {way["seed"]: _way(way) for way in one["attempts"]} for one in race["recipes"]}
    lines = [[str(seed), *(by_seed.get(seed, "") for by_seed in ways.values())] for seed in seeds]
    show.print_table(["seed", *ways], lines)
    for one in race["recipes"]:
        refused = [f"NOT COMPARED: {one['why_not']}"] if one["why_not"] and one is not first else []
        for said in [*refused, *one["notes"]]:
            print(f"{one['recipe']}: {said}.")


def _row(one: Mapping[str, Any], fast: str) -> list[str]:
    reached = f"{one['reached']} of {one['of']}"
    medians = [bounds_text(one["median_steps"]), bounds_text(one["median_epochs"])]
    return [one["recipe"], reached, *medians, fast, str(one["settings_tried"])]


def _fast(one: Mapping[str, Any]) -> str:
    """`24.1 [10.3, 40]`; an interval takes some seeds."""
    found = one["times_as_fast"]
    if found is None:
        return "not compared"
    interval = ""
    if found["low"] is not None:
        high = "no bound" if found["high"] is None else f"{found['high']:.3g}"
        interval = f" [{found['low']:.3g}, {high}]"
    return f"{bounds_text(found)}{interval}, {found['seeds']} seed{'s' if found['seeds'] > 1 else ''}"


def bounds_text(bounds: Mapping[str, Any]) -> str:
    """`120`, `over 2000`, `0.4 to 3`."""
    low, high = bounds["at_least"], bounds["at_most"]
    if high is None:
        return f"over {low:.4g}" if low else "unknown"
    return f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"


def _way(attempt: Mapping[str, Any]) -> str:
    if attempt["steps_to_target"] is None:
        return f"not in {attempt['steps_trained']} steps"
    return f"{attempt['steps_to_target']} steps, {attempt['epochs_to_target']:.4g} epochs"
