"""What a sweep trains: every recipe with every seed, or without each of its classes in turn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nearkin.data import load_data
from nearkin.errors import UsageError, listing
from nearkin.recipe import Recipe, read_recipe
from nearkin.recipe.model import Selection
from nearkin.recipe.shipped import find_recipe
from nearkin.registry import Registries


@dataclass(frozen=True)
class Training:
    """One training of a sweep."""

    name: str
    """The recipe's, or its path where two are called the same."""
    recipe: Recipe
    held_out: str | None = None
    """The class that is left out of what it knows, and asked about as an unknown."""

    def __str__(self) -> str:
        without = "" if self.held_out is None else f" without {self.held_out!r}"
        return f"{self.name}, seed {self.recipe.seed}{without}"


def plan(
    recipes: Sequence[Path | str],
    registries: Registries,
    *,
    overrides: Sequence[str] = (),
    seeds: Sequence[int] | None = None,
    leave_one_class_out: bool = False,
) -> list[Training]:
    """Seed by seed, so that what is done when somebody stops is comparable; where none are given, each recipe's own.

    Everything that can be wrong with a recipe is said before anything is trained.
    """
    if seeds is not None and any(override.partition("=")[0].strip() == "seed" for override in overrides):
        raise UsageError("a sweep's seeds are what --seeds says: leave out the override of seed, or --seeds.")
    read = [read_recipe(find_recipe(str(recipe)), registries, overrides) for recipe in recipes]
    times = Counter(recipe.name for recipe in read)
    names = [recipe.name if times[recipe.name] == 1 else str(path) for recipe, path in zip(read, recipes, strict=True)]
    twice = [name for name, n in Counter(names).items() if n > 1]
    if twice:
        raise UsageError(f"a sweep trains each recipe once a seed; {listing(twice)} is given twice.")
    silent = [recipe.name for recipe in read if not recipe.evaluate]
    if silent and not leave_one_class_out:
        raise UsageError(f"{listing(silent)}: no evaluators, so nothing to compare. Add some under 'evaluate:'.")
    named = list(zip(names, read, strict=True))
    if seeds is None:
        trainings = [Training(name, recipe) for name, recipe in named]
    else:
        trainings = [Training(name, replace(recipe, seed=seed)) for seed in seeds for name, recipe in named]
    if leave_one_class_out:
        open_set = _open_set(registries)
        trainings = [left for training in trainings for left in without_each_class(training, open_set)]
    return trainings


def without_each_class(training: Training, open_set: Selection) -> list[Training]:
    """The training once a known class, which it then does not know; that class alone is the unknown."""
    recipe = training.recipe
    classes = classes_to_leave_out(recipe)
    # As the recipe asks, where it asks for open_set.
    asked = tuple(selection for selection in recipe.evaluate if selection.type == open_set.type) or (open_set,)
    return [
        replace(
            training,
            held_out=label,
            recipe=replace(
                recipe,
                data=recipe.data.model_copy(
                    update={"known": tuple(one for one in classes if one != label), "unknown": (label,)}
                ),
                evaluate=asked,
            ),
        )
        for label in classes
    ]


def classes_to_leave_out(recipe: Recipe) -> tuple[str, ...]:
    """The known classes. `UsageError` where they are so few that without one of them nothing can be learned."""
    classes = load_data(recipe.data, recipe.seed)[1].classes
    if len(classes) < 3:
        raise UsageError(
            f"{recipe.name}: leaving a class out of {listing(classes)} leaves fewer than two to learn. "
            "Know three or more."
        )
    return classes


def _open_set(registries: Registries) -> Selection:
    component = registries.of("evaluator").get("open_set")
    return Selection("evaluator", component.name, component.options())
