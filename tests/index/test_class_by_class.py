"""Claims about classes searched one by one: the answers are those of looking at every reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nearkin.contracts import Answer, Metric
from nearkin.index import Index, class_by_class
from nearkin.index import searcher as searcher_module
from nearkin.index.searcher import Searcher

METRICS: tuple[Metric, ...] = ("l1", "l2", "cosine")


def drawn(seed: int, n: int, spread: float, step: float) -> tuple[Any, list[str]]:
    """Of eleven classes, small and large; on a grid of this step, where many are equally far, if it has one."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 11, n) ** 2 // 11
    vectors = np.random.default_rng(0).normal(size=(11, 5))[codes] + spread * rng.normal(size=(n, 5))
    if step:
        vectors = np.round(vectors / step) * step + step / 4
    return vectors.astype(np.float32), [f"class {code}" for code in codes]


def by_class(index: Index, queries: Any, k: int, monkeypatch: pytest.MonkeyPatch) -> list[Answer]:
    """Answers where nothing but the classes is searched."""
    with monkeypatch.context() as patch:
        patch.setattr(searcher_module, "LOOKED_AT", 0)
        patch.setattr(class_by_class, "BEGIN", 0)
        patch.setattr(class_by_class, "MANY", 0)
        patch.setattr(Searcher, "near", lambda *_, **__: pytest.fail("all references were searched"))
        answers: list[Answer] = index.query(queries, k=k)
    return answers


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize(("spread", "step"), [(0.1, 0), (3.0, 0), (1.0, 0.5)], ids=["apart", "mixed", "ties"])
def test_the_answers_of_a_batch_are_those_of_looking_at_all(
    metric: Metric, k: int, spread: float, step: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = Index(metric=metric, class_rule="nearest", dim=5, score={"type": "knn", "k": k})
    index.add(*drawn(1, 700, spread, step))
    index.calibrate(*drawn(2, 500, spread, 0))
    queries, _ = drawn(3, 40, 1.5 * spread, step)
    for one, true in zip(by_class(index, queries, 6, monkeypatch), index.query(queries, k=6), strict=True):
        assert (one.status, one.label, one.distance, one.score) == (true.status, true.label, true.distance, true.score)
        assert one.neighbors == true.neighbors
        for label in index.labels:
            if label in one.bounds:
                assert one.distances[label] <= true.distances[label]
                assert true.p_values[label] <= one.p_values[label] <= index.alpha
            else:
                assert (one.distances[label], one.p_values[label]) == (true.distances[label], true.p_values[label])


def test_classes_that_lie_apart_are_ruled_out_before_anything_is_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    index = Index(metric="l2", class_rule="nearest", dim=5)
    index.add(*drawn(1, 700, 0.05, 0))
    index.calibrate(*drawn(2, 500, 0.05, 0))
    searched: list[int] = []
    whole = Searcher.nearest_among
    monkeypatch.setattr(
        Searcher,
        "nearest_among",
        lambda self, queries, *rest: searched.append(len(queries)) or whole(self, queries, *rest),
    )
    queries, _ = drawn(3, 40, 0.05, 0)
    by_class(index, queries, 5, monkeypatch)
    assert sum(searched) < 2 * len(queries) < len(index.labels) * len(queries)


def test_vectors_whose_squares_float32_cannot_hold_are_found_none_the_less(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    tiny = (1e-22 * rng.normal(size=(1000, 5))).astype(np.float32)
    index = Index(metric="l2", class_rule="nearest", dim=5)
    index.add(tiny[:960], ["a", "b"] * 480)
    true = index.query(tiny[960:])
    monkeypatch.setattr(searcher_module, "LOOKED_AT", 0)
    assert [one.neighbors for one in index.query(tiny[960:])] == [one.neighbors for one in true]
