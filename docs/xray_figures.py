"""The X-ray tables of docs/results.md: `python docs/figures.py xrays`, or one part of it: `xrays few-shot`.

few-shot: ten shots on a warm base, each base with draws of its own; imagenet: the same with no base. unknown: each
class left out of base and shots. race, race-blocks: epochs to a target, from the base and from ImageNet weights, with
the head alone or the last six blocks too. adult, pneumonia: the other two sets. Every run's figures are kept under
runs/figures/xrays as it ends; a second call goes on where the first stopped.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from nearkin import load_run, train
from nearkin.data import ImageStore, load_data
from nearkin.evaluation.differences import with_differences
from nearkin.evaluation.measure import by_view, make_evaluators
from nearkin.evaluation.views import spaces, view
from nearkin.experiments import mean_over
from nearkin.experiments.race import Attempt
from nearkin.experiments.race import race as of_attempts
from nearkin.files import to_json, write_atomic
from nearkin.recipe import read_recipe
from nearkin.recipe.shipped import find_recipe
from nearkin.run import Run
from nearkin.training.watch import Watch

OUT = Path("runs/figures/xrays")
DRAWS_OF_BASES = (5, 3)
UNKNOWN_DRAWS = 5
CLASSES = ("covid", "viral_pneumonia", "normal")
SPLITS = ("public split", "leaks dropped")
ALL_VIEWS = ("model", "pixels", "untrained")
CXR3 = "cxr3/manifest.csv"
FACTS = ("steps", "ended", "kept_step", "select_pair_auc", "target", "steps_to_target", "epochs_to_target")
Kept = dict[str, Any]


def kept(
    name: str, recipe: str, overrides: Mapping[str, object], *, split: str = "", names: Sequence[str] = ALL_VIEWS
) -> Kept:
    """The run of that name: its figures, steps and time; trained now where it is not kept yet.

    With `split`, the figures of that way to count the test images; without, the run alone.
    """
    file = OUT / f"{name}.json"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(file, to_json(made(name, recipe, overrides, names if split else ())))
    found: Kept = json.loads(file.read_bytes())
    return {**found, "figures": found["figures"][split]} if split else found


def made(name: str, recipe: str, overrides: Mapping[str, object], names: Sequence[str]) -> Kept:
    """Train, and measure in the views of these names."""
    wall, cpu = time.monotonic(), time.process_time()
    run = train(recipe, overrides=overrides, watch=Watch())
    spent = {"train_wall_seconds": time.monotonic() - wall, "train_cpu_seconds": time.process_time() - cpu}
    facts = {key: run.facts.get(key) for key in FACTS}
    figures = measured(run, names) if names else {}
    say(f"{name}: {run.path}, {spent['train_wall_seconds']:.0f} s; {facts}")
    return {"recipe": recipe, "settings": dict(overrides), "run": str(run.path), **spent, **facts, "figures": figures}


def measured(run: Run, names: Sequence[str]) -> Kept:
    """By split and evaluator; both splits ask one set of views, in the second the leaks count as seen."""
    source, dataset = load_data(run.recipe.data, run.recipe.seed)
    store = ImageStore.load(source, dataset.all_items(), run.model.input)
    views = [view(space, run, dataset, store) for space in spaces(run, store) if space.name in names]
    _, without = load_data(run.recipe.data.model_copy(update={"drop_leaks": run.recipe.data.path == CXR3}), 0)
    leaks = [item for item in dataset.items["test"] if item.key in without.dropped]
    seen = {"public split": frozenset[str](), "leaks dropped": frozenset(store.digests(leaks))}
    evaluators = make_evaluators(run, run.recipe.evaluate, run.recipe.seed)
    return {
        split: {
            name: with_differences(
                by_view(name, evaluator, [replace(one, seen_digests=one.seen_digests | more) for one in views])
            )
            for name, evaluator in evaluators.items()
        }
        for split, more in seen.items()
    }


def base(seed: int, left_out: str | None = None, *, recipe: str = "cxr3-base") -> Kept:
    """A base of its own split and weights, of all classes or without one."""
    settings = {"seed": seed, "data.held_out_seed": seed, "data.known": list(without(left_out))}
    name = f"{recipe.removeprefix('cxr3-')}-{seed}"
    return kept(name if left_out is None else f"{name}-without-{left_out}", recipe, settings)


def value(one: Kept, figure: str, view: str = "model") -> float | None:
    """A figure of a kept run."""
    found = [f for views in one["figures"].values() for f in views.get(view, ()) if f["name"] == figure]
    return found[0]["value"] if found else None


def bounds(one: Kept, figure: str, view: str = "model") -> tuple[float, float]:
    """Its interval over images."""
    (found,) = [f for views in one["figures"].values() for f in views[view] if f["name"] == figure]
    return found["low"], found["high"]


def cell(done: Sequence[Kept], figure: str, view: str = "model") -> str:
    """Mean over draws with the interval over images (the mean of the draws' bounds, who share their test images)."""
    values = [value(one, figure, view) for one in done]
    if None in values or not values:
        return ""
    low, high = (statistics.fmean(side) for side in zip(*(bounds(one, figure, view) for one in done), strict=True))
    return f"{statistics.fmean(v for v in values if v is not None):.3f} [{low:.3f}, {high:.3f}]"


def spread(done: Sequence[Kept], figure: str) -> str:
    """Worst to best draw."""
    values = [v for one in done if (v := value(one, figure)) is not None]
    return f"{min(values):.3f} to {max(values):.3f}" if values else ""


def over_draws(done: Sequence[Kept], figure: str, view: str = "model") -> str:
    """Mean over draws with Student's t."""
    values = [v for one in done if (v := value(one, figure, view)) is not None]
    return (
        str(mean_over(values, [str(place) for place in range(len(values))])) if len(values) > 1 else f"{values[0]:.3f}"
    )


def say(text: str) -> None:
    """Progress, apart from the tables."""
    print(text, file=sys.stderr, flush=True)


# ------------------------------------------------------------------- few-shot

WARM = {
    "siamese": ("cxr3-base", "cxr3-siamese-warm"),
    "prototypical": ("cxr3-base", "cxr3-prototypical-warm"),
    "siamese-linear": ("cxr3-linear", "cxr3-siamese-linear"),
}
"""The recipe of a base, and that of ten shots on it."""
FIGURES = ("exam_20_way", "exam_30_way", "cluster_accuracy", "balanced_accuracy")


def few_shot() -> None:
    """Ten shots on each base, every method, with the public split as it is and with leaks dropped."""
    done: dict[tuple[str, int, str], list[Kept]] = {}
    for method, (of_base, recipe) in WARM.items():
        for seed, draws in enumerate(DRAWS_OF_BASES):
            run = base(seed, recipe=of_base)["run"]
            for draw in range(draws):
                settings = {"backbone.init_from": run, "seed": 100 * seed + draw, "data.held_out_seed": seed}
                for split in SPLITS:
                    one = kept(f"{method}-{seed}-{draw}", recipe, settings, split=split, names=("model", "pixels"))
                    done.setdefault((method, seed, split), []).append(one)
    print("| figure | method | base | test | model | pixels | worst to best draw |\n|---|---|---|---|---|---|---|")
    for figure in FIGURES:
        for (method, seed, split), runs in done.items():
            cells = [cell(runs, figure), cell(runs, figure, "pixels"), spread(runs, figure)]
            print(f"| {' | '.join([figure, method, str(seed), split, *cells])} |")


IMAGENET_DRAWS = 2


def imagenet() -> None:
    """The same draws of ten shots from ImageNet weights, with no base between."""
    runs = {split: [] for split in SPLITS}
    for draw in range(IMAGENET_DRAWS):
        for split in SPLITS:
            settings = {"seed": draw, "data.held_out_seed": 0}
            runs[split].append(kept(f"imagenet-0-{draw}", "cxr3-siamese-imagenet", settings, split=split))
    print("| figure | test | from ImageNet weights | ImageNet frozen | worst to best draw |\n|---|---|---|---|---|")
    for figure in FIGURES:
        for split in SPLITS:
            views = (cell(runs[split], figure, name) for name in ("model", "untrained"))
            print(f"| {figure} | {split} | {' | '.join(views)} | {spread(runs[split], figure)} |")
    print(f"\nCPU minutes a training: {minutes(runs[SPLITS[0]]):.1f}.")


def minutes(runs: Sequence[Kept]) -> float:
    """Of CPU, in the mean."""
    return statistics.fmean(one["train_cpu_seconds"] for one in runs) / 60


# ------------------------------------------------------------------- unknown

NAIVE, FROZEN, MIDDLE = "fine-tuned embedding", "frozen last layer", "frozen middle blocks"


def unknown() -> None:
    """Each class left out of base and shots in turn, its images the unknowns."""
    print(
        "| left out | references | score looks at | AUROC | leaks dropped | worst to best | flagged | known flagged |"
    )
    print("|---|---|---|---|---|---|---|---|")
    means: dict[tuple[object, str], list[float]] = {}
    for left_out in CLASSES:
        for shots in (10, "all"):
            for space in (MIDDLE, FROZEN) if left_out == "normal" else (MIDDLE, NAIVE, FROZEN):
                found_all = strangers(left_out, space)["figures"][str(shots)]
                runs = {split: [{"figures": one[split]} for one in found_all] for split in SPLITS}
                print(unknown_row(left_out, shots, space, runs), flush=True)
                if left_out != "normal":
                    found = statistics.fmean(value(one, "unknown_auroc") or 0 for one in runs[SPLITS[0]])
                    means.setdefault((shots, space), []).append(found)
    for (shots, space), values in means.items():
        print(f"\nMean over the two diseases, {shots} references, {space}: {statistics.fmean(values):.3f}.")


def strangers(left_out: str, space: str) -> Kept:
    """One model that never saw the class, asked about it with several draws of references."""
    file = OUT / f"unknown-{left_out}-{space.replace(' ', '-')}.json"
    if not file.exists():
        run = model_without(left_out, space)
        draws = {"10": [asked(run, left_out, space, 10, seed) for seed in range(UNKNOWN_DRAWS)]}
        draws["all"] = [asked(run, left_out, space, "all", 0)]
        write_atomic(file, to_json({"run": str(run.path), "figures": draws}))
    found: Kept = json.loads(file.read_bytes())
    return found


def asked(run: Run, left_out: str, space: str, shots: object, seed: int) -> Kept:
    """The run's model with other references: what it was asked about stays embedded."""
    data = run.recipe.data.model_copy(update={"unknown": (left_out,), "shots": shots})
    about = tuple(one for one in run.recipe.evaluate if one.type == "open_set")
    other, _ = copy(run), run.model
    other.recipe = replace(run.recipe, data=data, seed=seed, evaluate=about)
    if space == FROZEN:
        plain = read_recipe(find_recipe("cxr3-siamese-imagenet"), run.registries)
        other.recipe = replace(other.recipe, score=plain.score, unknown=plain.unknown)
    return measured(other, ("model",))


def without(left_out: str | None) -> tuple[str, ...]:
    """The other classes."""
    return tuple(label for label in sorted(CLASSES) if label != left_out)


def model_without(left_out: str, space: str) -> Run:
    """The model to ask: a base that never saw the class, or ImageNet weights and nothing learned."""
    if space == NAIVE:
        return load_run(base(0, left_out)["run"])
    settings: dict[str, object] = {
        "data.known": list(without(left_out)),
        "data.held_out_seed": 0,
        "backbone.freeze": "all",
        "method.weights": False,
        "train.epochs": 1,
        "train.early_stopping": None,
        # As in cxr3-siamese-warm, whose space has ImageNet weights whatever its base.
        "unknown": {
            "score": {"type": "scaled_knn", "k": 3},
            "space": {"type": "features", "stages": [9, 10, 11, 12], "weights": "trained"},
        },
    }
    return load_run(kept(f"imagenet-without-{left_out}", "cxr3-siamese-imagenet", settings)["run"])


def unknown_row(left_out: str, shots: object, space: str, runs: Mapping[str, Sequence[Kept]]) -> str:
    """AUROC on both splits, and how many unknown images are called unknown, beside known ones."""
    public = runs[SPLITS[0]]
    auroc = [cell(runs[split], "unknown_auroc") for split in SPLITS]
    flagged = [cell(public, "unknown_flagged"), known_flagged(public)]
    return f"| {' | '.join([left_out, str(shots), space, *auroc, spread(public, 'unknown_auroc'), *flagged])} |"


def known_flagged(runs: Sequence[Kept]) -> str:
    """The share of known images with their own p-value at most alpha, and in how many cases within what n allows."""
    own = [f for one in runs for f in one["figures"]["open_set"]["model"] if f["name"].startswith("own_p_")]
    told = [(f["value"], f["details"]["expected"]) for f in own]
    share, expected = (statistics.fmean(found) for found in zip(*told, strict=True))
    inside = sum(f["details"]["inside"] for f in own)
    return f"{share:.3f}, expected {expected:.3f}; {inside} of {len(own)} within"


# ------------------------------------------------------------------- race

RACE_SEEDS, TARGET, STARTS = 5, 0.85, ("base", "ImageNet")
RACES: dict[str, Mapping[str, object]] = {
    "the head alone": {"backbone.freeze": "all", "train.epochs": 650, "every": 25, "embed": {"views": 1}},
    "the head and the last six blocks": {"train.epochs": 30, "every": 3, "embed": {"views": 1}},
}


def race(learns: str) -> None:
    """Epochs until a pair AUC on select reaches the target: from the base and from ImageNet weights."""
    sides = {start: [racer(start, learns, seed) for seed in range(RACE_SEEDS)] for start in STARTS}
    print("| begins from | learns | reached | epochs to target | best on select | CPU minutes |")
    print("|---|---|---|---|---|---|")
    for start, runs in sides.items():
        reached = sum(one["steps_to_target"] is not None for one in runs)
        best = statistics.fmean(one["select_pair_auc"] for one in runs)
        epochs = ", ".join(map(epochs_told, runs))
        print(f"| {start} | {learns} | {reached} of {len(runs)} | {epochs} | {best:.3f} | {minutes(runs):.1f} |")
    attempts = [Attempt.of(load_run(one["run"])) for start in reversed(STARTS) for one in sides[start]]
    print(f"\nTimes as fast: {of_attempts(attempts)['recipes'][1]['times_as_fast']}.")


def epochs_told(one: Kept) -> str:
    """The epochs to the target, or that it was not reached; an epoch of thirty pairs is one step."""
    return f"not in {one['steps']}" if one["epochs_to_target"] is None else f"{one['epochs_to_target']:g}"


def racer(start: str, learns: str, seed: int) -> Kept:
    """One run to the target. Both begin with the same settings but for the backbone's weights."""
    how = RACES[learns]
    stop = {"every": how["every"], "patience": 100_000, "target": TARGET, "stop_at_target": True}
    rest = {key: value for key, value in how.items() if key != "every"}
    settings = {
        "seed": seed,
        "data.held_out_seed": 0,
        "train.early_stopping": stop,
        "name": f"race-{start}-{learns.replace(' ', '-')}",
        **rest,
    }
    if start == "base":
        settings["backbone.init_from"] = base(0)["run"]
    return kept(f"race-{start}-{learns.replace(' ', '-')}-{seed}", "cxr3-siamese-imagenet", settings)


# ------------------------------------------------------------------- the other sets

ADULT_DRAWS, CHILD_SEEDS = 3, 3


def adult() -> None:
    """Ten shots of adult X-rays; then the last layer of frozen ImageNet weights on the same draws, by cosine."""
    runs = [kept(f"adult-{seed}", "cxr-adult", {"seed": seed}, split=SPLITS[0]) for seed in range(ADULT_DRAWS)]
    figures = ("exam_20_way", "cluster_accuracy", "balanced_accuracy", *recalls(runs))
    plain_table(runs, figures)
    frozen = [adult_frozen(seed) for seed in range(ADULT_DRAWS)]
    print("\n| figure | ImageNet frozen | worst to best draw |\n|---|---|---|")
    for figure in figures:
        print(f"| {figure} | {cell(frozen, figure)} | {spread(frozen, figure)} |")


def adult_frozen(seed: int) -> Kept:
    """The whole network as ImageNet left it: the classifier's layer, which alone learns, is no part of an embedding."""
    settings = {
        "seed": seed,
        "backbone.blocks": 18,
        "backbone.embedding_dim": None,
        "method": {"type": "classifier"},
        "sampler": {"type": "m_per_class", "classes": 3, "m": 5},
        "train.steps": 1,
    }
    return kept(f"adult-frozen-{seed}", "cxr-adult", settings, split=SPLITS[0], names=("model",))


def pneumonia() -> None:
    """All of PneumoniaMNIST."""
    runs = [kept(f"pneumonia-{seed}", "pneumoniamnist", {"seed": seed}, split=SPLITS[0]) for seed in range(CHILD_SEEDS)]
    plain_table(runs, ("exam_20_way", "cluster_accuracy", "balanced_accuracy", *recalls(runs)))


def recalls(runs: Sequence[Kept]) -> list[str]:
    """Their names."""
    return [f["name"] for f in runs[0]["figures"]["clusters"]["model"] if f["name"].startswith("recall_")]


def plain_table(runs: Sequence[Kept], figures: Sequence[str]) -> None:
    """One row a figure, beside the baselines."""
    print("| figure | model | before its first step | pixels | worst to best draw |\n|---|---|---|---|---|")
    for figure in figures:
        views = (cell(runs, figure, name) for name in ("model", "untrained", "pixels"))
        print(f"| {figure} | {' | '.join(views)} | {spread(runs, figure)} |")
    own = [one for one in runs if "open_set" in one["figures"]]
    print(f"\nKnown images flagged: {known_flagged(own)}. CPU minutes a training: {minutes(runs):.1f}.")


PARTS = {
    "few-shot": few_shot,
    "imagenet": imagenet,
    "unknown": unknown,
    "race": partial(race, "the head alone"),
    "pneumonia": pneumonia,
    "adult": adult,
    "race-blocks": partial(race, "the head and the last six blocks"),
}


def xrays(*parts: str) -> None:
    """The parts named, or all."""
    for part in parts or PARTS:
        print(f"\n{part}\n")
        PARTS[part]()
