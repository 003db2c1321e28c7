"""Adult chest X-rays, and children's at 28 pixels."""

from __future__ import annotations

from collections.abc import Sequence

from xray_figures.keeping import SPLITS, Kept, cell, kept, known_flagged, minutes, spread

ADULT_DRAWS, CHILD_SEEDS = 5, 3


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
