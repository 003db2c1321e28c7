"""Claims about classes that are bounded and not measured: nothing is decided otherwise than by looking at all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nearkin.cli.show import print_answers
from nearkin.contracts import Metric
from nearkin.index import Index
from nearkin.index import clusters as clusters_module
from nearkin.index import searcher as searcher_module
from nearkin.index.balls import Balls
from nearkin.index.distances import distances

METRICS: tuple[Metric, ...] = ("l1", "l2", "cosine")
CLASSES = 30


def drawn(seed: int, n: int, spread: float) -> tuple[Any, list[str]]:
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, CLASSES, n)
    centres = np.random.default_rng(0).normal(size=(CLASSES, 6))
    return (centres[codes] + spread * rng.normal(size=(n, 6))).astype(np.float32), [f"class {c}" for c in codes]


def filled(metric: Metric, k: int, spread: float) -> Index:
    index = Index(metric=metric, class_rule="nearest", dim=6, score={"type": "knn", "k": k})
    index.add(*drawn(1, 900, spread))
    return index


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("a_class", [0, 2**14, 2**40], ids=["by class", "either", "all at once"])
@pytest.mark.parametrize("spread", [0.1, 2.0], ids=["apart", "mixed"])
def test_an_answer_is_that_of_looking_at_all_but_for_bounds_and_those_hold(
    metric: Metric, k: int, a_class: int, spread: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    index, (queries, _) = filled(metric, k, spread).calibrate(*drawn(2, 600, spread)), drawn(3, 25, 1.5 * spread)
    true = index.query(queries)
    monkeypatch.setattr(searcher_module, "LOOKED_AT", 0)
    monkeypatch.setattr(clusters_module, "FIRST", 8)
    monkeypatch.setattr(clusters_module, "SPARE", 1)
    monkeypatch.setattr(clusters_module, "A_CLASS", a_class)
    found = index.query(queries)
    for one, other in zip(found, true, strict=True):
        assert (one.status, one.label, one.distance, one.neighbors, one.score) == (
            other.status, other.label, other.distance, other.neighbors, other.score
        )  # fmt: skip
        for label in other.distances:
            if label in one.bounds:
                assert one.distances[label] <= other.distances[label]
                assert other.p_values[label] <= one.p_values[label] <= index.alpha
            else:
                assert (one.distances[label], one.p_values[label]) == (other.distances[label], other.p_values[label])
    assert spread > 1 or any(one.bounds for one in found)


def test_the_score_is_no_bound_where_no_class_was_found_k_times(monkeypatch: pytest.MonkeyPatch) -> None:
    index, (queries, _) = filled("l2", 5, 2.0), drawn(3, 25, 2.0)
    true = [answer.score for answer in index.query(queries)]
    monkeypatch.setattr(searcher_module, "LOOKED_AT", 0)
    monkeypatch.setattr(clusters_module, "FIRST", 8)
    assert [answer.score for answer in index.query(queries)] == true


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("spread", [1e-6, 0.3, 1e3])
def test_no_reference_lies_outside_of_the_ball_around_its_class(metric: Metric, spread: float) -> None:
    index, (queries, _) = filled(metric, 1, spread), drawn(3, 40, spread)
    references = index.references
    least = Balls.around(references, metric).at_least(np.concatenate([queries, references.vectors]))
    apart = distances(np.concatenate([queries, references.vectors]), references.vectors, metric)
    for code in range(len(references.classes)):
        assert (least[:, code] <= apart[:, references.of_class(code)].min(axis=1)).all()


def test_the_command_line_shows_bounds_as_bounds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    index, (queries, _) = filled("l2", 1, 0.1).calibrate(*drawn(2, 600, 0.1)), drawn(3, 1, 0.1)
    monkeypatch.setattr(searcher_module, "LOOKED_AT", 0)
    monkeypatch.setattr(clusters_module, "FIRST", 8)
    (answer,) = index.query(queries)
    print_answers(["x.png"], [answer], as_json=False)
    shown = capsys.readouterr().out
    for label, p in answer.p_values.items():
        assert f"{label}{'<=' if label in answer.bounds else '='}{p:.2f}" in shown
