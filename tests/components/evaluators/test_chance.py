"""One embedding for everything scores no better than chance: every built-in evaluator, under any order of items."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from nearkin import Index, load_registries
from nearkin.contracts import Build, ClassRule, Component, Figure, LabelledEmbeddings, Metric, View

EVALUATORS = tuple(load_registries(entry_points=False).evaluator)
PARENTS, CLASSES, IMAGES = 2, 12, 8
"""Enough for twenty ways, also of classes within one parent."""


def names(kind: str) -> list[str]:
    return [f"{kind}{parent}/{number}" for parent in range(PARENTS) for number in range(CLASSES)]


def same_for_all(rule: ClassRule, vector: Sequence[float]) -> View:
    """Known and unknown classes, one far larger than the others, groups of two; everything at one point."""
    known = [name for name in names("known") for _ in range(IMAGES)] + [names("known")[3]] * 50
    unknown = [name for name in names("new") for _ in range(IMAGES)]
    labels = [*known, *unknown]
    metric: Metric = "cosine" if rule == "attention" else "l2"
    index = Index(metric=metric, class_rule=rule, dim=len(vector), alpha=0.2)
    index.add(np.tile(vector, (3 * PARENTS * CLASSES, 1)), [name for name in names("known") for _ in range(3)])
    calibration = [name for name in names("known") for _ in range(9)]
    index.calibrate(np.tile(np.add(vector, 1e-3), (len(calibration), 1)), calibration)
    return View(
        name="model",
        embeddings=np.tile(vector, (len(labels), 1)).astype(np.float32),
        labels=tuple(labels),
        groups=tuple(f"{label}-{place // 2}" for place, label in enumerate(labels)),
        digests=tuple(f"image-{place}" for place in range(len(labels))),
        classes=tuple(names("known")),
        seen_digests=frozenset(),
        index=index,
        seed=0,
        select=at_one_point(vector),
    )


def at_one_point(vector: Sequence[float]) -> LabelledEmbeddings:
    labels = tuple(name for name in names("known") for _ in range(4))
    own = tuple(f"select-{place}" for place in range(len(labels)))
    return LabelledEmbeddings(np.tile(vector, (len(labels), 1)).astype(np.float32), labels, own, own)


def figures(component: Component, view: View) -> dict[str, Figure]:
    evaluator = component.factory(component.options(), Build(seed=0, classes=view.classes))
    return {figure.name: figure for figure in evaluator.evaluate(view)}


def flattered(figure: Figure) -> bool:
    """Whether the figure is better than chance."""
    if figure.value is None or figure.chance is None:
        return False
    gain = figure.value - figure.chance
    return (gain if figure.better == "higher" else -gain) > 1e-9


@pytest.mark.parametrize("rule", ["nearest", "prototype", "attention"])
@pytest.mark.parametrize("component", EVALUATORS, ids=lambda component: component.name)
def test_one_embedding_for_everything_scores_no_better_than_chance_in_any_order(
    component: Component, rule: ClassRule, shuffled: Callable[[View, int], View]
) -> None:
    view = same_for_all(rule, [0.3, -0.7, 0.1])
    found = figures(component, view)
    judged = [figure for figure in found.values() if figure.value is not None and figure.chance is not None]
    assert judged, "an evaluator that says what chance scores, and measures it here"
    assert not [figure for figure in found.values() if flattered(figure)]
    for seed in range(2):
        assert figures(component, shuffled(view, seed)) == found
