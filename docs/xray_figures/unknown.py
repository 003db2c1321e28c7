"""Each class left out of base and shots in turn, its images the unknowns."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace

from nearkin import load_run
from nearkin.files import to_json, write_atomic
from nearkin.recipe import read_recipe
from nearkin.recipe.shipped import find_recipe
from nearkin.run import Run
from xray_figures.bases import base, without
from xray_figures.keeping import CLASSES, OUT, SPLITS, Kept, cell, kept, known_flagged, measured, spread, value

DRAWS = 5
NAIVE, FROZEN, MIDDLE = "fine-tuned embedding", "frozen last layer", "frozen middle blocks"


def unknown() -> None:
    """Each class left out of base and shots in turn, its images the unknowns."""
    print(
        "| left out | references | score looks at | AUROC | leaks dropped | worst to best | flagged | known flagged |"
    )
    print("|---|---|---|---|---|---|---|---|")
    means: dict[tuple[object, str], list[float]] = {}
    for left_out in CLASSES:
        shots: int | str
        for shots in (10, "all"):
            for space in (MIDDLE, FROZEN) if left_out == "normal" else (MIDDLE, NAIVE, FROZEN):
                found_all = strangers(left_out, space)["figures"][str(shots)]
                runs = {split: [{"figures": one[split]} for one in found_all] for split in SPLITS}
                print(unknown_row(left_out, shots, space, runs), flush=True)
                if left_out != "normal":
                    found = statistics.fmean(value(one, "unknown_auroc") or 0 for one in runs[SPLITS[0]])
                    means.setdefault((shots, space), []).append(found)
    for (count, space), values in means.items():
        print(f"\nMean over the two diseases, {count} references, {space}: {statistics.fmean(values):.3f}.")


def strangers(left_out: str, space: str) -> Kept:
    """One model that never saw the class, asked about it with several draws of references."""
    file = OUT / f"unknown-{left_out}-{space.replace(' ', '-')}.json"
    if not file.exists():
        run = model_without(left_out, space)
        draws = {"10": [asked(run, left_out, space, 10, seed) for seed in range(DRAWS)]}
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
