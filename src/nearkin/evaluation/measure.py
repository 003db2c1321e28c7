"""Run a recipe's evaluators over every view, subtract the baselines pair by pair, and keep it all in the run."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from nearkin.contracts import Build, Evaluator, Figure, View
from nearkin.errors import NearkinError, NoIndexError, PluginError, UsageError
from nearkin.evaluation.differences import as_json, with_differences
from nearkin.evaluation.figures import figures_problem
from nearkin.evaluation.views import not_measured, views_of
from nearkin.files import save_bundle, to_json
from nearkin.making import make
from nearkin.recipe.model import Selection
from nearkin.run import EVALUATION_FORMAT, EVALUATION_VERSION, Run, load_run, now
from nearkin.training.watch import Watch, watching
from nearkin.writable import require_writable


def evaluate(
    run: Run | Path | str,
    *,
    plugins: Iterable[Any] = (),
    plugin_files: Iterable[Path | str] = (),
    watch: Watch | None = None,
) -> dict[str, Any]:
    """Measure a finished run on its test split, with the evaluators of its recipe.

    Returns, and keeps in the run's `evaluations/`, {"figures": {evaluator: {view: [figure, ...]}}, ...}. The views
    are `model`, the baselines `pixels` and `untrained`, and `model - pixels`, `model - untrained`: paired differences.
    What had to be left out is under "not_measured": {view: why}.
    """
    if not isinstance(run, Run):
        run = load_run(run, plugins=plugins, plugin_files=plugin_files)
    require_writable(run.folder.evaluations)
    with watching(watch) as eyes:
        result = _measured(run, eyes)
    keep(run, result)
    return result


def _measured(run: Run, watch: Watch) -> dict[str, Any]:
    """Every figure of every evaluator, in every view."""
    evaluators = make_evaluators(run, run.recipe.evaluate, run.recipe.seed)
    views, without = views_of(run, watch), not_measured(run)
    test = views[0].labels
    watch.message(f"{len(test)} test images of {len(set(test))} classes")
    for why in without.values():
        watch.message(f"{why}.")
    started, figures = time.perf_counter(), {}
    for done, (name, evaluator) in enumerate(evaluators.items()):
        watch.progress(f"evaluating {name}", done, len(evaluators))
        figures[name] = with_differences(by_view(name, evaluator, views))
    seconds = round(time.perf_counter() - started, 3)
    return {"evaluated": now(), "seconds": seconds, "figures": figures, "not_measured": without}


def by_view(name: str, evaluator: Evaluator, views: Sequence[View]) -> dict[str, list[Figure]]:
    """The evaluator's figures of each view; whatever it does wrong names it."""
    try:
        found: dict[str, list[Figure]] = {view.name: _figures(evaluator, view) for view in views}
        for view, figures in found.items():
            if problem := figures_problem(figures):
                raise PluginError(f"the evaluator {name}, asked about the view {view}: {problem}.")
        to_json({view: [as_json(figure) for figure in figures] for view, figures in found.items()})
    except NearkinError:
        raise
    # A plugin's evaluator may raise, or return, anything.
    except Exception as error:
        raise PluginError(
            f"the evaluator {name} broke: {type(error).__name__}: {error}. It must return a list of Figures of plain, "
            "finite numbers, with plain JSON in their details: see nearkin.contracts."
        ) from error
    return found


def _figures(evaluator: Evaluator, view: View) -> list[Figure]:
    """The evaluator's, or one without a value that says why, where it asks an index that cannot be."""
    try:
        return list(evaluator.evaluate(view))
    except NoIndexError as error:
        return [Figure("not_measured", None, note=str(error))]


def make_evaluators(run: Run, chosen: Sequence[Selection], seed: int) -> dict[str, Evaluator]:
    """Evaluators for this run, by name; one that is asked for twice gets its place as a suffix."""
    if not chosen:
        raise UsageError(f"{run.path}: its recipe names no evaluators. Add some under 'evaluate:' and train again.")
    build = Build(seed=seed, classes=tuple(run.facts["classes"]), input=run.model.input)
    registries = run.registries
    made: dict[str, Evaluator] = {}
    for place, selection in enumerate(chosen):
        twice = sum(other.type == selection.type for other in chosen) > 1
        name = f"{selection.type}#{place}" if twice else selection.type
        made[name] = make(selection, build, registries, wants=("evaluate",))
    return made


def keep(run: Run, result: dict[str, Any]) -> None:
    """Write the figures into the run, with the model's values where a list of runs finds them.

    A name that two evaluators give stands there with its evaluator's; `first` names each evaluator's first figure.
    """
    found = [
        (evaluator, figure["name"], figure["value"], place == 0)
        for evaluator, by_view in result["figures"].items()
        for place, figure in enumerate(by_view["model"])
        if figure["value"] is not None
    ]
    times = Counter(name for _, name, _, _ in found)
    named = [
        (name if times[name] == 1 else f"{evaluator}/{name}", value, first) for evaluator, name, value, first in found
    ]
    headlines, firsts = {name: value for name, value, _ in named}, [name for name, _, first in named if first]
    files = {"figures.json": to_json(result)}
    meta = {"headlines": headlines, "first": firsts, "model": run.model_digest}
    save_bundle(run.folder.evaluations, files, meta, format_name=EVALUATION_FORMAT, version=EVALUATION_VERSION)
