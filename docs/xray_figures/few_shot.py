"""Ten shots on a warm base, and from ImageNet weights with none between."""

from __future__ import annotations

from collections.abc import Sequence

from xray_figures.bases import LINEAR, LINEAR_LITE2, TUNED, TUNED_224, Base, base
from xray_figures.keeping import SPLITS, Kept, cell, kept, minutes, spread

WARM: dict[str, tuple[Sequence[Base], str, Sequence[int]]] = {
    "siamese": ([TUNED], "cxr3-siamese-warm", (5, 5)),
    "prototypical": ([TUNED], "cxr3-prototypical-warm", (5, 5)),
    "siamese-linear": ([LINEAR], "cxr3-siamese-linear", (5, 5)),
    "siamese-four": ([TUNED, TUNED_224, LINEAR, LINEAR_LITE2], "cxr3-siamese-four", (5, 5)),
}
"""The bases, the recipe of ten shots on them, and how many draws of shots for each `held_out_seed` of the bases."""
FIGURES = ("exam_20_way", "exam_30_way", "cluster_accuracy", "balanced_accuracy")


def few_shot() -> None:
    """Ten shots on each base, every method, with the public split as it is and with leaks dropped."""
    done: dict[tuple[str, int, str], list[Kept]] = {}
    for method, (bases, recipe, draws_of_seeds) in WARM.items():
        for seed, draws in enumerate(draws_of_seeds):
            runs = [base(seed, kind=kind)["run"] for kind in bases]
            for draw in range(draws):
                settings = {**begins_from(runs), "seed": 100 * seed + draw, "data.held_out_seed": seed}
                for split in SPLITS:
                    one = kept(f"{method}-{seed}-{draw}", recipe, settings, split=split, names=("model", "pixels"))
                    done.setdefault((method, seed, split), []).append(one)
    print("| figure | method | base | test | model | pixels | worst to best draw |\n|---|---|---|---|---|---|---|")
    for figure in FIGURES:
        for (method, seed, split), runs in done.items():
            cells = [cell(runs, figure), cell(runs, figure, "pixels"), spread(runs, figure)]
            print(f"| {' | '.join([figure, method, str(seed), split, *cells])} |")


def begins_from(runs: Sequence[str]) -> dict[str, object]:
    """The recipe's `init_from`: of its backbone, or of each of those side by side."""
    if len(runs) == 1:
        return {"backbone.init_from": runs[0]}
    return {f"backbone.{place}.init_from": run for place, run in enumerate(runs)}


IMAGENET_DRAWS = 5


def imagenet() -> None:
    """The same draws of ten shots from ImageNet weights, with no base between."""
    runs: dict[str, list[Kept]] = {split: [] for split in SPLITS}
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
