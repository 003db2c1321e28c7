"""From a recipe to a finished run, anew or resumed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from nearkin.arguments import path_of, plugin_lists
from nearkin.errors import DataError, UsageError
from nearkin.plugins import load_registries
from nearkin.provenance import changed
from nearkin.recipe import Recipe, read_recipe
from nearkin.recipe.shipped import find_recipe
from nearkin.run import Run, RunFolder, load_run, read_run_recipe
from nearkin.training.warm_start import refuse_other_bases
from nearkin.training.watch import Watch, watching
from nearkin.training.work import FoldTrainer, Work


def train(
    recipe: Path | str | Recipe,
    *,
    overrides: Sequence[str] | Mapping[str, object] = (),
    plugins: Iterable[Any] = (),
    plugin_files: Iterable[Path | str] = (),
    runs: Path | str = "runs",
    watch: Watch | None = None,
    begun: Callable[[Path], None] = lambda _: None,
    folds: FoldTrainer | None = None,
) -> Run:
    """Train what a recipe asks for, and open the run; `begun` hears its folder before the first step.

    Raises `RecipeError` (all its problems), `DataError` (all bad files), `PluginError`, or `WorkFailed`
    (a NaN loss, an interruption: the error says how to continue). Messages and a progress bar go to stderr
    unless `watch` takes them. `folds` trains those of a recipe that calibrates cross-conformally.
    """
    plugins, plugin_files = plugin_lists(plugins, plugin_files)
    registries = load_registries(*plugins, files=plugin_files)
    if not isinstance(recipe, Recipe):
        recipe = read_recipe(find_recipe(recipe), registries, overrides)
    elif overrides:
        raise UsageError("train: overrides change a recipe while it is read; this one has been read already.")
    with watching(watch) as eyes:
        work = Work.prepare(recipe, registries, eyes, folds)
        folder = _shared_folder(work.accelerator, path_of(runs, "runs"), recipe.name)
        if work.accelerator.is_main_process:
            folder.start(recipe, work.facts())
            begun(folder.path)
        work.run(folder)
    return load_run(folder.path, plugins=plugins, plugin_files=plugin_files)


def resume(
    run: Path | str,
    *,
    plugins: Iterable[Any] = (),
    plugin_files: Iterable[Path | str] = (),
    watch: Watch | None = None,
    folds: FoldTrainer | None = None,
) -> Run:
    """Continue a run that was interrupted or killed, to the weights it would have had; a finished one is opened."""
    plugins, plugin_files = plugin_lists(plugins, plugin_files)
    folder = RunFolder(run)
    bundle = folder.read()
    if bundle.meta["state"] == "finished":
        with watching(watch) as eyes:
            eyes.message(f"{folder.path}: this run is finished already; there is nothing to continue.")
    else:
        registries = load_registries(*plugins, files=plugin_files)
        recipe = read_run_recipe(folder, bundle, registries)
        with watching(watch) as eyes:
            work = Work.prepare(recipe, registries, eyes, folds)
            other = _refuse_other_circumstances(folder, bundle.meta, work.facts())
            if work.accelerator.is_main_process:
                _note_other_circumstances(folder, bundle.meta, other, eyes)
            work.run(folder)
    return load_run(folder.path, plugins=plugins, plugin_files=plugin_files)


def _shared_folder(accelerator: Accelerator, runs: Path, name: str) -> RunFolder:
    """The run's folder, made by the first process and told to the others."""
    told = [str(RunFolder.create(runs, name).path) if accelerator.is_main_process else ""]
    if accelerator.num_processes > 1:
        broadcast_object_list(told)
    return RunFolder(told[0])


def _refuse_other_circumstances(folder: RunFolder, was: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """A resumed run sees the same images and bases, in batches that follow each other. What else is other."""
    if was["data"] != now["data"]:
        raise DataError(
            f"{folder.path}: the images changed since this run began (their fingerprint differs). "
            "Put them back, or train anew."
        )
    refuse_other_bases(was.get("ancestors", {}), now["ancestors"])
    if was.get("processes", now["processes"]) != now["processes"]:
        raise UsageError(
            f"{folder.path}: processes: {was['processes']} began this run, and there are {now['processes']} now, which "
            "count steps and batches otherwise. Resume it with as many as before, or train anew."
        )
    return {name: now[name] for name in changed(was, now)}


def _note_other_circumstances(
    folder: RunFolder, was: Mapping[str, Any], other: Mapping[str, Any], watch: Watch
) -> None:
    """Told now, and kept in the manifest beside those that the run began with."""
    for name, value in other.items():
        watch.message(f"{name} changed since this run began, so its weights will not be the same to the bit: {value}")
    if other:
        folder.mark(was["state"], resumed=[*was.get("resumed", []), dict(other)])
