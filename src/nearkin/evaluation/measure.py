"""Run a recipe's evaluators over every view, subtract the baselines pair by pair, and keep it all in the run."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from nearkin.components.evaluators.intervals import wilson
from nearkin.contracts import Build, Evaluator, Figure, View
from nearkin.data import Dataset, ImageStore, load_data
from nearkin.errors import DamagedError, DataError, NearkinError, PluginError, UsageError
from nearkin.evaluation.views import spaces, view
from nearkin.files import save_bundle, to_json
from nearkin.run import EVALUATION_FORMAT, EVALUATION_VERSION, Run, load_run, now
from nearkin.training.watch import Watch, watching


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
    """
    if not isinstance(run, Run):
        run = load_run(run, plugins=plugins, plugin_files=plugin_files)
    with watching(watch) as eyes:
        result = _measured(run, eyes)
    keep(run, result)
    return result


def _measured(run: Run, watch: Watch) -> dict[str, Any]:
    """Every figure of every evaluator, in every view."""
    evaluators = make_evaluators(run)
    dataset, store = reopen_data(run, watch)
    test = dataset.items["test"]
    if not test:
        raise DataError(
            f"{run.path}: no images are left to test on. Lower data.shots, select or calibrate; train anew."
        )
    watch.message(f"{len(test)} test images of {len({item.label for item in test})} classes")
    views = [view(space, run, dataset, store) for space in spaces(run, store)]
    started, figures = time.perf_counter(), {}
    for done, (name, evaluator) in enumerate(evaluators.items()):
        watch.progress(f"evaluating {name}", done, len(evaluators))
        figures[name] = _held_to_contract(name, evaluator, views)
    return {"evaluated": now(), "seconds": round(time.perf_counter() - started, 3), "figures": figures}


def _held_to_contract(name: str, evaluator: Evaluator, views: Sequence[View]) -> dict[str, list[dict[str, Any]]]:
    """`measure`; whatever an evaluator does wrong names it."""
    try:
        found = measure(evaluator, views)
        to_json(found)
    except NearkinError:
        raise
    # A plugin's evaluator may raise, or return, anything.
    except Exception as error:
        raise PluginError(
            f"the evaluator {name} broke: {type(error).__name__}: {error}. It must return a list of Figures of plain, "
            "finite numbers, with plain JSON in their details."
        ) from error
    return found


def make_evaluators(run: Run) -> dict[str, Evaluator]:
    """The recipe's evaluators by name; one that is asked for twice gets its place as a suffix."""
    chosen = run.recipe.evaluate
    if not chosen:
        raise UsageError(f"{run.path}: its recipe names no evaluators. Add some under 'evaluate:' and train again.")
    build = Build(seed=run.recipe.seed, classes=tuple(run.facts["classes"]), input=run.model.input)
    made: dict[str, Evaluator] = {}
    for place, selection in enumerate(chosen):
        twice = sum(other.type == selection.type for other in chosen) > 1
        name = f"{selection.type}#{place}" if twice else selection.type
        made[name] = run.registries.of("evaluator").get(selection.type).factory(selection.options, build)
    return made


def reopen_data(run: Run, watch: Watch) -> tuple[Dataset, ImageStore]:
    """The run's data, drawn again; refused where it is not what the run was trained on."""
    source, dataset = load_data(run.recipe.data, run.recipe.seed)
    store = ImageStore.load(source, dataset.all_items(), run.model.input, partial(watch.progress, "reading images"))
    if store.fingerprint(dataset) != run.facts["data"]:
        raise DamagedError(
            f"{run.path}: the images or labels changed since this run was trained (their fingerprint differs). "
            "Put them back, or train anew."
        )
    return dataset, store


def measure(evaluator: Evaluator, views: Sequence[View]) -> dict[str, list[dict[str, Any]]]:
    """One evaluator over all views; then the model's figures less each baseline's."""
    by_view: dict[str, list[Figure]] = {view.name: list(evaluator.evaluate(view)) for view in views}
    plain = {name: [as_json(figure) for figure in figures] for name, figures in by_view.items()}
    for name in by_view:
        if name != "model":
            plain[f"model - {name}"] = differences(by_view["model"], by_view[name])
    return plain


def as_json(figure: Figure) -> dict[str, Any]:
    """A figure as it is kept; the replicates are left behind, their seed makes them again."""
    return {
        "name": figure.name,
        "value": figure.value,
        "low": figure.low,
        "high": figure.high,
        "n": figure.n,
        "resampled": figure.resampled,
        "note": figure.note,
        "details": dict(figure.details),
        "better": figure.better,
        "chance": figure.chance,
    }


def differences(model: Sequence[Figure], baseline: Sequence[Figure]) -> list[dict[str, Any]]:
    """The figures that both have with replicates, subtracted: same questions, same resamples."""
    others = {figure.name: figure for figure in baseline}
    pairs = [(figure, others[figure.name]) for figure in model if figure.name in others]
    return [difference(a, b) for a, b in pairs if len(a.replicates) and len(a.replicates) == len(b.replicates)]


def difference(a: Figure, b: Figure) -> dict[str, Any]:
    """a - b with its interval: the spread of the paired replicates around the difference itself.

    Never narrower than what n units without a single disagreement still allow (Wilson's bound on a share of 0), so
    that two views that agree on a few images are not said to agree for certain.
    """
    assert a.value is not None
    assert b.value is not None
    value = a.value - b.value
    replicates = np.subtract(a.replicates, b.replicates)
    low, high = np.percentile(replicates - replicates.mean(), [2.5, 97.5]) + value
    allowed = wilson(0, a.n)[1]
    low, high = min(low, value - allowed), max(high, value + allowed)
    note = "paired: the same questions and the same resamples of images"
    return as_json(Figure(a.name, value, float(low), float(high), a.n, a.resampled, note, better=a.better))


def keep(run: Run, result: dict[str, Any]) -> None:
    """Write the figures into the run, with the model's values where a list of runs finds them."""
    headlines = {
        figure["name"]: figure["value"]
        for by_view in result["figures"].values()
        for figure in by_view["model"]
        if figure["value"] is not None
    }
    files = {"figures.json": to_json(result)}
    meta = {"headlines": headlines, "model": run.model_digest}
    save_bundle(run.folder.evaluations, files, meta, format_name=EVALUATION_FORMAT, version=EVALUATION_VERSION)
