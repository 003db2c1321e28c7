"""The commands that compute: train, evaluate, data preview, export, report, explain."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nearkin.cli import show
from nearkin.cli.pictures import refuse_picture, save_picture
from nearkin.errors import UsageError, WorkFailed
from nearkin.plugins import load_registries
from nearkin.recipe import read_recipe
from nearkin.recipe.shipped import find_recipe


def train(
    words: Sequence[str],
    *,
    seeds: int | None,
    leave_one_class_out: bool,
    resume: Path | None,
    dry_run: bool,
    runs: Path,
    plugins: Sequence[Path],
    as_json: bool,
) -> None:
    """`nearkin train`: one recipe, or a sweep."""
    recipes = [word for word in words if "=" not in word]
    overrides = [word for word in words if "=" in word]
    if bool(recipes) == bool(resume):
        raise UsageError("nearkin train takes a recipe or several, or --resume RUN.")
    sweeps = len(recipes) > 1 or seeds is not None or leave_one_class_out
    if resume is not None and (overrides or dry_run or sweeps):
        raise UsageError("--resume continues as it was begun: it takes no overrides, no seeds and no --dry-run.")
    if seeds is not None and seeds < 1:
        raise UsageError(f"--seeds {seeds}: it is how many, from seed 0 on; 1 or more.")
    from nearkin.cli import experiment

    if dry_run:
        _dry_run(recipes, overrides, sweeps, seeds, leave_one_class_out, plugins)
    elif resume is not None and experiment.is_sweep(resume):
        experiment.resume_sweep(resume, plugins=plugins, as_json=as_json)
    elif sweeps:
        experiment.sweep(
            recipes,
            overrides,
            seeds=seeds,
            leave_one_class_out=leave_one_class_out,
            runs=runs,
            plugins=plugins,
            as_json=as_json,
        )
    else:
        _train_one(recipes, overrides, resume, runs, plugins, as_json)


def _train_one(
    recipes: Sequence[str],
    overrides: Sequence[str],
    resume: Path | None,
    runs: Path,
    plugins: Sequence[Path],
    as_json: bool,
) -> None:
    """A run, begun or continued."""
    from nearkin.experiments.cross_conformal import resume as resume_run
    from nearkin.experiments.cross_conformal import train as train_run

    if resume is not None:
        run = resume_run(resume, plugin_files=plugins)
    else:
        run = train_run(recipes[0], overrides=overrides, plugin_files=plugins, runs=runs)
    if as_json:
        show.print_json({"run": str(run.path)})
    else:
        print(run.path)


def _dry_run(
    recipes: Sequence[str],
    overrides: Sequence[str],
    sweeps: bool,
    seeds: int | None,
    leave_one_class_out: bool,
    plugins: Sequence[Path],
) -> None:
    """Everything that happens before the first step, of each training that there would be."""
    from nearkin.experiments.plan import plan
    from nearkin.training.watch import Watch
    from nearkin.training.work import Work

    registries = load_registries(files=plugins)
    if sweeps:
        every = None if seeds is None else range(seeds)
        trainings = plan(recipes, registries, overrides=overrides, seeds=every, leave_one_class_out=leave_one_class_out)
        named = [(str(training), training.recipe) for training in trainings]
    else:
        read = read_recipe(find_recipe(recipes[0]), registries, overrides)
        named = [(read.name, read)]
    for name, recipe in named:
        work = Work.prepare(recipe, registries, Watch(message=show.message))
        counts = ", ".join(f"{split} {len(items)}" for split, items in work.dataset.items.items())
        print(f"{name}: the recipe and its images are in order ({counts}).")


def evaluate(run: Path, *, plugins: Sequence[Path], as_json: bool) -> None:
    """`nearkin evaluate`."""
    from nearkin.evaluation import evaluate as evaluate_run

    result = evaluate_run(run, plugin_files=plugins)
    if as_json:
        show.print_json(result)
    else:
        show.print_figures(result["figures"])


def preview(recipe: str, overrides: Sequence[str], *, output: Path, step: int, plugins: Sequence[Path]) -> None:
    """`nearkin data preview`."""
    import torch

    from nearkin.contracts import Pairs
    from nearkin.data import pair_sheet
    from nearkin.training.images import Batches
    from nearkin.training.watch import Watch
    from nearkin.training.work import Work

    refuse_picture("--output", output, "a preview")
    if step < 0:
        raise UsageError(f"--step {step}: steps count from 0.")
    registries = load_registries(files=plugins)
    work = Work.prepare(read_recipe(find_recipe(recipe), registries, overrides), registries, Watch(show.message))
    batch = work.sampler.batch(step)
    if not isinstance(batch.structure, Pairs):
        raise WorkFailed(f"the sampler {work.recipe.sampler.type!r} yields no pairs; only pairs can be drawn.")
    images, codes = Batches(work.labelled("train"), None, torch.device("cpu")).of(batch.items)
    labels = [work.training.names[code] for code in codes]
    a1, p, a2, n = batch.structure
    pairs = [(int(i), int(j), 1) for i, j in zip(a1, p, strict=True)]
    pairs += [(int(i), int(j), 0) for i, j in zip(a2, n, strict=True)]
    save_picture(pair_sheet(images.numpy(), pairs, labels), output)
    print(output)


def export(run: Path, to: Path, *, plugins: Sequence[Path]) -> None:
    """`nearkin export`."""
    from nearkin.export import export_onnx, export_torch
    from nearkin.run import load_run

    writers = {".onnx": export_onnx, ".pt2": export_torch}
    if to.suffix not in writers:
        raise UsageError(f"{to}: what is wanted is told by the ending: .onnx, or .pt2 for torch.export.")
    print(writers[to.suffix](load_run(run, plugin_files=plugins), to))


def report(run: Path, to: Path, *, maps: int, plugins: Sequence[Path]) -> None:
    """`nearkin report`."""
    from nearkin.report import write_report
    from nearkin.run import load_run

    print(write_report(load_run(run, plugin_files=plugins), to, maps=maps))


def explain(run: Path, image: Path, *, against: Path | None, output: Path, plugins: Sequence[Path]) -> None:
    """`nearkin explain`."""
    from nearkin.explaining import explain as explain_image
    from nearkin.explaining import overlay
    from nearkin.run import load_run

    refuse_picture("--output", output, "the map")
    found = explain_image(load_run(run, plugin_files=plugins), image, against)
    save_picture(overlay(found), output)
    show.message(f"{found.of}: red where a region made it so")
    print(output)
