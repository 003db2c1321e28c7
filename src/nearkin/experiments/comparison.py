"""Runs side by side: the same seeded questions for all, differences paired where the test images are the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nearkin.arguments import plugin_lists, several
from nearkin.contracts import Figure, View
from nearkin.errors import UsageError, listing
from nearkin.evaluation.differences import as_json, difference, paired
from nearkin.evaluation.measure import by_view, make_evaluators
from nearkin.evaluation.views import not_measured, views_of
from nearkin.experiments.race import Attempt, race
from nearkin.recipe.model import Selection
from nearkin.run import Run, load_run, now
from nearkin.training.watch import Watch, watching


def compare(
    runs: Sequence[Run | Path | str],
    *,
    seed: int | None = None,
    plugins: Iterable[Any] = (),
    plugin_files: Iterable[Path | str] = (),
    watch: Watch | None = None,
) -> dict[str, Any]:
    """Measure finished runs beside each other, with every evaluator that any of their recipes names.

    `seed` draws the questions; left out, it is that of the first run's recipe. Returns plain JSON:
    {"runs": [{"run", "recipe", "comparable", "why_not", "notes"}, ...], "race": see `race`, "figures": {evaluator:
    {figure: [{"run", "model", "pixels", "untrained", "minus_first"}, ...]}}, ...}; a run whose classes have no such
    figure is not among its rows, and `notes` say which baseline is in none. `minus_first` is the paired difference to
    the first run, `None` where the test images or the known classes are not the same: `why_not` says which.
    """
    found = plugin_lists(plugins, plugin_files).given
    given = several(runs, "runs")
    opened = [run if isinstance(run, Run) else load_run(run, **found) for run in given]
    _refuse_too_few(opened)
    seed = opened[0].recipe.seed if seed is None else seed
    chosen = every_evaluator(opened)
    if not chosen:
        raise UsageError("compare: none of these runs' recipes names an evaluator. Add some under 'evaluate:'.")
    with watching(watch) as eyes:
        contestants = on_the_same_questions([Contestant.of(run, seed, eyes) for run in opened])
        figures = [one.measure(chosen, seed, eyes) for one in contestants]
    return {
        "compared": now(),
        "seed": seed,
        "race": race([Attempt.of(run) for run in opened]),
        "runs": [one.facts() for one in contestants],
        "figures": {name: side_by_side(contestants, [found[name] for found in figures]) for name in figures[0]},
    }


def _refuse_too_few(runs: Sequence[Run]) -> None:
    twice = [path for path, times in Counter(str(run.path.resolve()) for run in runs).items() if times > 1]
    if twice:
        raise UsageError(f"compare: {listing(twice)} is named twice. Name each run once.")
    if len(runs) < 2:
        raise UsageError("compare: it takes two runs or more; 'nearkin evaluate' measures one.")


def every_evaluator(runs: Sequence[Run]) -> list[Selection]:
    """The evaluators of all the recipes, each that differs in type or options once."""
    chosen: list[Selection] = []
    for run in runs:
        chosen += [selection for selection in run.recipe.evaluate if selection not in chosen]
    return chosen


@dataclass(frozen=True)
class Contestant:
    """A run with its test images embedded, and whether it can be subtracted from the first."""

    run: Run
    views: tuple[View, ...]
    why_not: str = ""
    """Why it cannot be compared with the first; nothing where it can."""
    notes: tuple[str, ...] = ()
    """What else differs, which the difference then contains."""

    @classmethod
    def of(cls, run: Run, seed: int, watch: Watch) -> Contestant:
        """Its views, all asked by this seed."""
        watch.message(f"{run.path}: reading and embedding its test images")
        return cls(run, tuple(replace(view, seed=seed) for view in views_of(run, watch)))

    def measure(self, chosen: Sequence[Selection], seed: int, watch: Watch) -> dict[str, dict[str, list[Figure]]]:
        """Figures by evaluator and view."""
        evaluators, found = make_evaluators(self.run, chosen, seed), {}
        for done, (name, evaluator) in enumerate(evaluators.items()):
            watch.progress(f"evaluating {name} of {self.run.path}", done, len(evaluators))
            found[name] = by_view(name, evaluator, self.views)
        return found

    def facts(self) -> dict[str, Any]:
        """What a reader must know of it."""
        return {
            "run": str(self.run.path),
            "recipe": self.run.recipe.name,
            "seed": self.run.recipe.seed,
            "test_images": len(self.views[0].labels),
            "comparable": not self.why_not,
            "why_not": self.why_not,
            "notes": [*self.notes, *not_measured(self.run).values()],
        }


def on_the_same_questions(contestants: Sequence[Contestant]) -> list[Contestant]:
    """Each judged against the first; what any comparable one has seen is asked of none of them."""
    first = contestants[0]
    judged = [first, *(replace(one, why_not=why_not(first, one)) for one in contestants[1:])]
    together = [one for one in judged if not one.why_not]
    seen = frozenset[str]().union(*(one.views[0].seen_digests for one in together))
    classes = first.views[0].classes
    return [
        one
        if one.why_not
        # Classes in the first's order: questions are drawn class by class.
        else replace(
            one,
            views=tuple(replace(view, seen_digests=seen, classes=classes) for view in one.views),
            notes=() if one is first else notes(first, one),
        )
        for one in judged
    ]


def why_not(first: Contestant, other: Contestant) -> str:
    """Why the two cannot be asked the same questions, or nothing."""
    a, b = first.views[0], other.views[0]
    if set(a.classes) != set(b.classes):
        apart = sorted(set(a.classes) ^ set(b.classes))
        return f"its known classes are others: {listing(apart)} known to one of the two alone"
    asked = [set(zip(view.digests, view.labels, view.groups, strict=True)) for view in (a, b)]
    if asked[0] == asked[1]:
        return ""
    shared = len({digest for digest, *_ in asked[0]} & {digest for digest, *_ in asked[1]})
    if not shared:
        return f"its {len(asked[1])} test images are other data: none of them is among the first's {len(asked[0])}"
    if shared == len(asked[0]) == len(asked[1]):
        return "the same test images carry other labels or groups"
    return (
        f"it was tested on {len(asked[1])} images, of which {shared} are among the first's {len(asked[0])}: another "
        "draw. Train both with one data.seed, or one seed, and the same counts of images"
    )


def notes(first: Contestant, other: Contestant) -> tuple[str, ...]:
    """What differs between comparable runs besides what their recipes say of the method."""
    found = []
    if first.run.facts["data"] != other.run.facts["data"]:
        found.append("other images trained, selected or calibrated it: the difference is the draw's too")
    if first.run.model_digest == other.run.model_digest:
        found.append("its model is the first's, to the bit")
    return tuple(found)


def side_by_side(
    contestants: Sequence[Contestant], found: Sequence[dict[str, list[Figure]]]
) -> dict[str, list[dict[str, Any]]]:
    """By figure, one row a run: the model's value, the baselines', and the difference to the first run's."""
    by_name = [{view: {f.name: f for f in figures} for view, figures in by_view.items()} for by_view in found]
    names = dict.fromkeys(name for views in by_name for name in views["model"])
    return {
        name: [
            {
                "run": str(one.run.path),
                **{view: as_json(figures[name]) for view, figures in views.items()},
                "minus_first": _minus(one, views["model"][name], by_name[0]["model"].get(name)) if place else None,
            }
            for place, (one, views) in enumerate(zip(contestants, by_name, strict=True))
            if name in views["model"]
        ]
        for name in names
    }


def _minus(one: Contestant, own: Figure, first: Figure | None) -> dict[str, Any] | None:
    return difference(own, first) if first and not one.why_not and paired(own, first) else None
