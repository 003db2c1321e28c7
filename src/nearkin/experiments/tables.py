"""A sweep's table: each recipe's means over seeds or held-out classes, beside baselines and the first recipe's."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from nearkin.evaluation.differences import VIEWS
from nearkin.experiments.plan import Training
from nearkin.experiments.race import Attempt, race
from nearkin.experiments.repeat import Repeated
from nearkin.experiments.summary import Mean, mean_over
from nearkin.experiments.sweeps import Sweep
from nearkin.recipe.data_options import DataOptions

Cell = Mapping[str, Any]


def table(sweep: Sweep) -> dict[str, Any]:
    """Plain JSON: {"sweep", "trainings": [...], "notes": [...], "race", "figures": {evaluator: {figure: [row, ...]}}}.

    A row has the recipe's name, the class that was `held_out` if any, what its draws are (`over`: "seeds", or
    "classes" for the mean over held-out classes), of each view the mean with its 95% interval over draws, and
    `minus_first`: the same of the differences to the first recipe, seed by seed.
    """
    results = sweep.results()
    groups = groups_of(sweep, results)
    return {
        "sweep": str(sweep.path),
        "trainings": [
            {
                "recipe": training.name,
                "seed": training.recipe.seed,
                "held_out": training.held_out,
                "run": None if facts["run"] is None else str(sweep.runs / facts["run"]),
                "finished": place in results,
                "problem": facts["problem"],
            }
            for place, (training, facts) in enumerate(zip(sweep.trainings, sweep.facts, strict=True))
        ],
        "notes": [*notes(sweep), *notes_of_single_draws(groups), *notes_of_bases(groups)],
        "race": _race(sweep),
        "figures": figures(groups),
    }


def _race(sweep: Sweep) -> dict[str, Any] | None:
    """Not where classes are left out: every one of them is another task."""
    if any(one.held_out for one in sweep.trainings):
        return None
    return race([Attempt.of(run) for run in sweep.finished()])


def notes(sweep: Sweep) -> list[str]:
    """What the intervals do not say by themselves."""
    found = []
    fixed = dict.fromkeys(one.name for one in sweep.trainings if one.recipe.data.seed is not None)
    if fixed:
        found.append(
            f"{', '.join(fixed)}: data.seed is fixed, so the interval is over weights and batches on one draw of images"
        )
    first, firsts = sweep.trainings[0], of_the_first(sweep)
    unlike = dict.fromkeys(one.name for one in sweep.trainings if not alike(one, firsts.get(one.held_out)))
    if unlike:
        found.append(
            f"{', '.join(unlike)}: other data, counts of images or evaluators than {first.name}'s, so not subtracted"
        )
    return found


def notes_of_single_draws(groups: Sequence[Group]) -> list[str]:
    """Recipes of which one training alone is finished: their means are single values, without an interval."""
    single = [group for group in groups if len(group.by_draw) == 1]
    plain = list(dict.fromkeys(group.name for group in single if group.held_out is None))
    without = list(dict.fromkeys(group.name for group in single if group.held_out is not None))
    asks = "nearkin compare RUN RUN" if len(plain) > 1 else "nearkin evaluate RUN"
    found = []
    if plain:
        draws = "one draw each has" if len(plain) > 1 else "one draw has"
        found.append(f"{', '.join(plain)}: {draws} no interval over draws; '{asks}' has those over images")
    if without:
        found.append(f"{', '.join(without)}: one draw without a class has no interval; the mean has one over classes")
    return found


def notes_of_bases(groups: Sequence[Group]) -> list[str]:
    """Recipes asked about other images than the first, because a base trained on some."""
    names = dict.fromkeys(group.name for group in groups if group.unlike)
    if not names:
        return []
    first = groups[0].name
    return [
        f"{', '.join(names)}: test images that its base trained on are not asked about, {first} was asked about them, "
        f"so not subtracted; 'nearkin compare' asks the runs the same questions"
    ]


def asked_otherwise(one: Repeated, other: Repeated) -> bool:
    """Whether two runs on the same data were asked about other images: a warm start's base had trained on some."""
    ours, theirs = seen_by_base(one), seen_by_base(other)
    return any(ours[evaluator] != theirs[evaluator] for evaluator in ours.keys() & theirs.keys())


def seen_by_base(one: Repeated) -> dict[str, int]:
    """How many images were left out for that, by evaluator: the most of its figures."""
    return {
        evaluator: max(
            (cell.get("details", {}).get("left_out", {}).get("seen", 0) for cell in by_view["model"]), default=0
        )
        for evaluator, by_view in one.figures.items()
    }


def of_the_first(sweep: Sweep) -> dict[str | None, Training]:
    """A training of the first recipe, by the class it leaves out."""
    first = sweep.trainings[0].name
    return {one.held_out: one for one in sweep.trainings if one.name == first}


def alike(one: Training, first: Training | None) -> bool:
    """Whether two trainings of one seed are asked the same questions about the same test images."""
    return bool(first and _asked(one) == _asked(first) and one.recipe.evaluate == first.recipe.evaluate)


def _asked(one: Training) -> DataOptions:
    """Which images it is asked about: contrast and crop change how they are seen, and not which they are."""
    return one.recipe.data.model_copy(update={"contrast": None, "crop": None})


@dataclass(frozen=True)
class Group:
    """The finished trainings of one recipe, or of one recipe without one class."""

    name: str
    held_out: str | None
    by_draw: Mapping[Hashable, Repeated]
    """By seed."""
    subtract: bool
    unlike: frozenset[Hashable]
    """Draws in which it was asked about other images than the first recipe."""


def groups_of(sweep: Sweep, results: Mapping[int, Repeated]) -> list[Group]:
    """The first recipe's first."""
    first, firsts = sweep.trainings[0].name, of_the_first(sweep)
    subtract: dict[tuple[str, str | None], bool] = {}
    draws: dict[tuple[str, str | None], dict[Hashable, Repeated]] = defaultdict(dict)
    for place, training in enumerate(sweep.trainings):
        key = (training.name, training.held_out)
        subtract.setdefault(key, alike(training, firsts.get(training.held_out)))
        if place in results:
            draws[key][training.recipe.seed] = results[place]
    found = []
    for (name, held_out), subtracted in subtract.items():
        own, beside = draws[name, held_out], draws[first, held_out]
        unlike = frozenset(draw for draw in own.keys() & beside.keys() if asked_otherwise(own[draw], beside[draw]))
        found.append(Group(name, held_out, own, subtracted, unlike))
    return found


def figures(groups: Sequence[Group]) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Rows by evaluator and figure."""
    references = {group.held_out: group for group in groups if group.name == groups[0].name}
    found: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for group in groups:
        reference = references.get(group.held_out)
        for evaluator, name in names_of(group):
            rows = found.setdefault(evaluator, {}).setdefault(name, [])
            rows.append(row(group, reference, evaluator, name))
    for by_name in found.values():
        for rows in by_name.values():
            rows += [mean_row(rows, name) for name in dict.fromkeys(one["recipe"] for one in rows if one["held_out"])]
    return found


def names_of(group: Group) -> list[tuple[str, str]]:
    """Every evaluator and figure that any of its runs has."""
    return list(
        dict.fromkeys(
            (evaluator, figure["name"])
            for one in group.by_draw.values()
            for evaluator, by_view in one.figures.items()
            for figure in by_view["model"]
        )
    )


def row(group: Group, reference: Group | None, evaluator: str, name: str) -> dict[str, Any]:
    """One recipe's means of one figure."""
    cells = {view: cells_of(group, evaluator, name, view) for view in VIEWS}
    example = next(iter(cells["model"].values()))
    return {
        "recipe": group.name,
        "over": "seeds",
        "held_out": group.held_out,
        **{view: mean_json({draw: cell["value"] for draw, cell in by_draw.items()}) for view, by_draw in cells.items()},
        "minus_first": mean_json(gains(cells["model"], cells_of(reference, evaluator, name, "model"), group.unlike))
        if reference and group.subtract and group.name != reference.name
        else None,
        "better": example.get("better"),
        "chance": mean_of_chances(cells["model"].values()),
    }


def cells_of(group: Group, evaluator: str, name: str, view: str) -> dict[Hashable, Cell]:
    """The figure in each run, by seed."""
    return {
        draw: figure
        for draw, one in group.by_draw.items()
        for figure in one.figures.get(evaluator, {}).get(view, ())
        if figure["name"] == name
    }


def gains(
    own: Mapping[Hashable, Cell], first: Mapping[Hashable, Cell], unlike: Collection[Hashable]
) -> dict[Hashable, float | None]:
    """Seed by seed; `None` where one could not be measured, or both were asked about other images."""
    return {
        draw: None
        if own[draw]["value"] is None or first[draw]["value"] is None or draw in unlike
        else own[draw]["value"] - first[draw]["value"]
        for draw in own
        if draw in first
    }


def mean_row(rows: Sequence[Mapping[str, Any]], name: str) -> dict[str, Any]:
    """The mean over held-out classes, each class's seeds averaged first; the interval is over classes."""
    own = [one for one in rows if one["recipe"] == name]
    means = {
        view: mean_json({one["held_out"]: one[view] and one[view]["value"] for one in own})
        for view in (*VIEWS, "minus_first")
    }
    first = {"recipe": name, "over": "classes", "held_out": None, "better": own[0]["better"]}
    return {**first, **means, "chance": mean_of_chances(own)}


def mean_of_chances(cells: Any) -> float | None:
    """Chance differs a little between draws of the images."""
    chances = [cell.get("chance") for cell in cells]
    return None if not chances or None in chances else sum(chances) / len(chances)


def mean_json(values: Mapping[Hashable, float | None]) -> dict[str, Any] | None:
    """The mean over draws; an interval of one draw is unknown. `None` unless every draw could be measured."""
    measured = {draw: value for draw, value in values.items() if value is not None}
    if not measured or len(measured) < len(values):
        return None
    mean: Mean = mean_over(list(measured.values()), list(measured))
    return {key: None if math.isinf(value) else value for key, value in asdict(mean).items()}
