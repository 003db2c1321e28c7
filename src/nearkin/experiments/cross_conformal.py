"""Cross-conformal calibration: a model a fold of the training images, trained without it, and all of them kept.

Vovk 2015, Cross-conformal predictors. The models of the folds are ordinary runs in `folds/` of the main one's folder;
each is calibrated on the fold that it never saw. They are trained first, so that a main run that is finished is whole.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nearkin import training
from nearkin.arguments import PluginLists, plugin_lists
from nearkin.device import processes_launched
from nearkin.errors import UsageError
from nearkin.files import MANIFEST
from nearkin.index import Index
from nearkin.recipe import Recipe
from nearkin.recipe.data_options import FoldOptions
from nearkin.run import Run, RunFolder
from nearkin.training.watch import Watch


def train(
    recipe: Path | str | Recipe,
    *,
    overrides: Sequence[str] | Mapping[str, object] = (),
    plugins: Iterable[Any] = (),
    plugin_files: Iterable[Path | str] = (),
    runs: Path | str = "runs",
    watch: Watch | None = None,
    begun: Callable[[Path], None] = lambda _: None,
) -> Run:
    """Train what a recipe asks for, and open the run; `begun` hears its folder before the first step.

    Once, or with `unknown: {way: cross_conformal}` once a fold and once on everything. Raises `RecipeError` (all its
    problems), `DataError` (all bad files), `PluginError`, or `WorkFailed` (a NaN loss, an interruption: the error says
    how to continue). Messages and a progress bar go to stderr unless `watch` takes them.
    """
    brought = plugin_lists(plugins, plugin_files)
    return training.train(
        recipe, overrides=overrides, runs=runs, watch=watch, begun=begun, folds=_Folds(brought), **brought.given
    )


def resume(
    run: Path | str,
    *,
    plugins: Iterable[Any] = (),
    plugin_files: Iterable[Path | str] = (),
    watch: Watch | None = None,
) -> Run:
    """Continue a run that was interrupted or killed, to the weights it would have had; a finished one is opened."""
    brought = plugin_lists(plugins, plugin_files)
    return training.resume(run, watch=watch, folds=_Folds(brought), **brought.given)


@dataclass(frozen=True)
class _Folds:
    """Trains what is not trained yet of a main run's folds."""

    brought: PluginLists
    """What every run is opened with."""

    def __call__(self, recipe: Recipe, folder: RunFolder, watch: Watch) -> list[Index]:
        """The folds' indexes, in order."""
        if processes_launched() > 1:
            raise UsageError("cross-conformal calibration trains one model after another: launch one process.")
        n = recipe.unknown.n_folds
        return [self._finished(without_fold(recipe, number, n), folder, watch).index for number in range(1, n + 1)]

    def _finished(self, recipe: Recipe, folder: RunFolder, watch: Watch) -> Run:
        fold = recipe.data.fold
        assert fold is not None, "made by without_fold"
        place = folder.folds / str(fold.number)
        watch.message(f"fold {fold.number} of {fold.of}: training without it")
        if (place / MANIFEST).exists():
            return training.resume(place, watch=watch, **self.brought.given)
        shutil.rmtree(place, ignore_errors=True)  # killed before its first file was whole
        return training.train(recipe, runs=folder.path, watch=watch, **self.brought.given)


def without_fold(recipe: Recipe, number: int, n_folds: int) -> Recipe:
    """The recipe that trains without one fold, and calibrates on it. Its name is that of the folder it goes into."""
    data = recipe.data.model_copy(update={"fold": FoldOptions(number=number, of=n_folds)})
    unknown = recipe.unknown.model_copy(update={"way": "held_out", "folds": None})
    return replace(recipe, name="folds", data=data, unknown=unknown, evaluate=())
