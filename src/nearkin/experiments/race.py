"""The race to a target on select: steps and epochs by recipe and seed; runs that never got there count as such."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from nearkin.errors import NearkinError, listing
from nearkin.recipe import Recipe, parse_recipe
from nearkin.registry import Registries
from nearkin.run import Run, RunFolder

FEWEST_SEEDS = 5
"""Below it a bootstrap over seeds says nothing."""
RESAMPLES = 10_000
Bounds: TypeAlias = tuple[float, float]
"""At least, at most: equal where it is known, an infinite or zero end where it is not."""


@dataclass(frozen=True)
class Rules:
    """What a recipe sets before its first run: the target, and what may be spent on it."""

    target: float | None
    steps: int | None
    epochs: int | None
    every: int | None
    """Steps between two looks."""
    patience: int | None

    @classmethod
    def of(cls, recipe: Recipe) -> Rules:
        """As its `train` section says."""
        train, stopping = recipe.train, recipe.train.early_stopping
        if stopping is None:
            return cls(None, train.steps, train.epochs, None, None)
        return cls(stopping.target, train.steps, train.epochs, stopping.every, stopping.patience)

    def unlike(self, other: Rules) -> list[str]:
        """What differs, in words."""
        names = [field.name for field in fields(self) if getattr(self, field.name) != getattr(other, field.name)]
        return [f"{name} {getattr(self, name)} and {getattr(other, name)}" for name in names]


@dataclass(frozen=True, eq=False)
class Attempt:
    """One run's way to its target."""

    path: Path
    recipe: Recipe
    facts: Mapping[str, Any]
    """What the run's manifest says."""
    registries: Registries

    @classmethod
    def of(cls, run: Run) -> Attempt:
        """A finished run's."""
        return cls(run.path, run.recipe, run.facts, run.registries)

    @property
    def reached(self) -> int | None:
        """Steps; `None` where it never was."""
        found: int | None = self.facts.get("steps_to_target")
        return found

    @property
    def steps(self) -> Bounds:
        """To the target; at least all that were trained where it was not reached."""
        return (self.reached, self.reached) if self.reached else (float(self.facts["steps"]), math.inf)

    @property
    def epochs(self) -> Bounds:
        """Likewise; runs of earlier versions that never were there do not say how long an epoch is."""
        per_epoch = self.facts.get("steps_per_epoch")
        if per_epoch:
            return self.steps[0] / per_epoch, self.steps[1] / per_epoch
        reached = self.facts.get("epochs_to_target")
        return (reached, reached) if reached else (0.0, math.inf)

    def as_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "seed": self.recipe.seed,
            "run": str(self.path),
            "steps_to_target": self.reached,
            "epochs_to_target": self.facts.get("epochs_to_target"),
            "steps_trained": self.facts["steps"],
            "ended": self.facts["ended"],
        }


@dataclass(frozen=True, eq=False)
class Side:
    """The attempts of one recipe, one a seed."""

    name: str
    attempts: tuple[Attempt, ...]

    @property
    def by_seed(self) -> Mapping[int, Attempt]:
        """Each seed's."""
        return {one.recipe.seed: one for one in self.attempts}

    @property
    def recipe(self) -> Recipe:
        """That of its first run."""
        return self.attempts[0].recipe

    @property
    def rules(self) -> Rules:
        """Those of its first run."""
        return Rules.of(self.recipe)

    @cached_property
    def begun(self) -> Sequence[Recipe]:
        """The recipes of all runs of its name that lie beside its own: what was tried, as far as it was kept."""
        parents = {one.path.resolve().parent for one in self.attempts}
        found = [_recipe_in(path, self.attempts[0].registries) for parent in parents for path in _runs_in(parent)]
        return [recipe for recipe in found if recipe and recipe.name == self.recipe.name]

    @property
    def settings_tried(self) -> int:
        """How many settings of it were trained, seeds and the run of a warm start apart."""
        different: list[object] = []
        for recipe in self.begun:
            data = recipe.data.model_copy(update={"seed": None, "held_out_seed": None})
            train = recipe.train.model_copy(update={"early_stopping": None, "steps": None, "epochs": None})
            backbones = [section.selection for section in recipe.backbones]
            setting = (data, backbones, recipe.method, recipe.sampler, recipe.loss, train)
            different += [setting] if setting not in different else []
        return len(different)

    def as_json(self, first: Side) -> dict[str, Any]:
        """Plain JSON, beside the first side."""
        refused = why_not(first, self)
        return {
            "recipe": self.name,
            "reached": sum(one.reached is not None for one in self.attempts),
            "of": len(self.attempts),
            "median_steps": _bounds_json(medians([one.steps for one in self.attempts])),
            "median_epochs": _bounds_json(medians([one.epochs for one in self.attempts])),
            "times_as_fast": None if refused or self is first else times_as_fast(first, self),
            "why_not": refused,
            "settings_tried": self.settings_tried,
            "notes": notes(first, self),
            "attempts": [one.as_json() for one in self.attempts],
        }


def race(attempts: Sequence[Attempt]) -> dict[str, Any] | None:
    """Every recipe's way to the target, beside the first one's; `None` where no recipe sets a target.

    Plain JSON: {"target", "every", "steps", "epochs", "recipes": [{"recipe", "reached", "of", "median_steps":
    {"at_least", "at_most"}, "times_as_fast": {"at_least", "at_most", "low", "high", "seeds"}, "why_not", ...}]}.
    An `at_most` of `None` has no bound: more than half were not reached.
    """
    sides = sides_of(attempts)
    if not sides or all(side.rules.target is None for side in sides):
        return None
    first = sides[0]
    rules = {field.name: getattr(first.rules, field.name) for field in fields(Rules)}
    return {**rules, "recipes": [side.as_json(first) for side in sides]}


def sides_of(attempts: Sequence[Attempt]) -> list[Side]:
    """By the recipe's name, in their order; runs of one name that share a seed stand each on their own."""
    times = Counter((one.recipe.name, one.recipe.seed) for one in attempts)
    alone = {name for (name, _), n in times.items() if n > 1}
    grouped: dict[str, list[Attempt]] = {}
    for one in attempts:
        name = str(one.path) if one.recipe.name in alone else one.recipe.name
        grouped.setdefault(name, []).append(one)
    return [Side(name, tuple(members)) for name, members in grouped.items()]


def why_not(first: Side, other: Side) -> str:
    """Why the two did not run one race, or nothing."""
    if other.rules.target is None:
        return "its recipe sets no train.early_stopping.target"
    for side in (first, other):
        inside = {word for one in side.attempts for word in side.rules.unlike(Rules.of(one.recipe))}
        if inside:
            return f"runs of {side.name} follow several rules: {listing(sorted(inside))}"
    if unlike := first.rules.unlike(other.rules):
        return f"the rules differ from those of {first.name}: {listing(unlike)}"
    shared = [seed for seed in other.by_seed if seed in first.by_seed]
    if not shared:
        return f"it shares no seed with {first.name}"
    data = [seed for seed in shared if _data(first, seed) != _data(other, seed)]
    return f"other images or splits than those of {first.name}, with seeds {listing(map(str, data))}" if data else ""


def notes(first: Side, other: Side) -> list[str]:
    """What the figures do not say by themselves."""
    found = []
    changed = {word for recipe in other.begun for word in other.rules.unlike(Rules.of(recipe))}
    if changed:
        found.append(f"target or budget were others in earlier runs of this name: {listing(sorted(changed))}")
    if other.settings_tried != first.settings_tried:
        found.append(
            f"unequal tuning: {other.settings_tried} settings were tried, {first.settings_tried} of {first.name}"
        )
    if other.recipe.sampler != first.recipe.sampler:
        found.append("another sampler: a step and an epoch are not the same work")
    alone = sorted(set(other.by_seed) ^ set(first.by_seed))
    if alone:
        found.append(f"seeds that one of the two alone has are not in the ratio: {listing(map(str, alone))}")
    return found + _of_the_looks(other)


def _of_the_looks(side: Side) -> list[str]:
    found = []
    every = side.rules.every
    at_once = sum(one.reached == every for one in side.attempts)
    if at_once:
        found.append(f"{at_once} of {len(side.attempts)} were there at the first look, after {every} steps or fewer")
    gave_up = sum(one.reached is None and one.facts["ended"] == "early stopping" for one in side.attempts)
    if gave_up:
        found.append(f"{gave_up} of {len(side.attempts)} ended by patience, before target and budget")
    return found


def times_as_fast(first: Side, other: Side) -> dict[str, Any]:
    """The first's steps divided by the other's, seed by seed: the median, and its 95% bootstrap interval over seeds."""
    ratios = [
        ratio(first.by_seed[seed].steps, one.steps) for seed, one in other.by_seed.items() if seed in first.by_seed
    ]
    low = high = None
    if len(ratios) >= FEWEST_SEEDS:
        low, high = interval(ratios)
    return {**_bounds_json(medians(ratios)), "low": low, "high": high, "seeds": len(ratios)}


def ratio(a: Bounds, b: Bounds) -> Bounds:
    """a / b. A run that never got there makes it a bound: from below where it is a, from above where it is b."""
    return a[0] / b[1], a[1] / b[0]


def medians(bounds: Sequence[Bounds]) -> Bounds:
    """Between which values the median lies."""
    least, most = np.array(bounds, dtype=np.float64).T
    return float(np.median(least)), float(np.median(most))


def interval(bounds: Sequence[Bounds]) -> tuple[float, float | None]:
    """The 95% bootstrap interval of the median: its lower end of the lower bounds, its upper of the upper ones."""
    least, most = np.array(bounds, dtype=np.float64).T
    rows = np.random.default_rng(0).integers(0, len(bounds), (RESAMPLES, len(bounds)))
    low = float(np.percentile(np.median(least[rows], axis=1), 2.5, method="lower"))
    high = float(np.percentile(np.median(most[rows], axis=1), 97.5, method="higher"))
    return low, _finite(high)


def _bounds_json(bounds: Bounds) -> dict[str, float | None]:
    return {"at_least": bounds[0], "at_most": _finite(bounds[1])}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _data(side: Side, seed: int) -> object:
    return side.by_seed[seed].facts["data"]


def _runs_in(parent: Path) -> Iterable[Path]:
    return (path for path in parent.iterdir() if RunFolder(path).recipe.is_file())


def _recipe_in(path: Path, registries: Registries) -> Recipe | None:
    """`None` where it cannot be read any more: what it tried cannot be counted."""
    file = RunFolder(path).recipe
    try:
        return parse_recipe(file.read_text(encoding="utf-8"), registries, name=str(file), settled=True)
    except (NearkinError, OSError, UnicodeDecodeError):
        return None
