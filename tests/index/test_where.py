"""Claims about questions on some references alone, and about all references within a distance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from nearkin.errors import IndexCallError
from nearkin.index import Index

Draw = Callable[..., Any]


def test_a_filter_by_label_asks_about_these_classes_and_keeps_their_promise(make: Callable[..., Index]) -> None:
    index, query = make(), np.array([0, 0, 1], np.float32)
    everything, asked = index.query(query), index.query(query, where={"label": ["a", "b"]})
    assert asked.p_values == {name: everything.p_values[name] for name in "ab"}
    assert asked.distances == {name: everything.distances[name] for name in "ab"}
    assert {n.label for n in index.query(query, k=99, where={"label": "a"}).neighbors} == {"a"}
    assert asked.promise.left_out == ("c",)
    assert asked.promise.groups == {"a": 20, "b": 20}
    assert asked.promise.way == "held_out"
    assert asked.reason.endswith("no other class asked about fits; not asked about: 'c'.")


def test_an_image_of_a_class_that_was_left_out_is_unknown_among_the_others(make: Callable[..., Index]) -> None:
    answer = make().query(np.array([0, 8, 1], np.float32), where={"label": ["a", "b"]})
    assert answer.status == "unknown"
    assert "'c'" in answer.reason


def test_a_filtered_answer_is_that_of_an_index_without_the_others(make: Callable[..., Index], draw: Draw) -> None:
    for metric, rule in (("l1", "nearest"), ("l2", "prototype"), ("cosine", "attention")):
        index, alone = (make({}, metric=metric, class_rule=rule) for _ in range(2))
        alone.remove(labels="b")
        queries = draw("b", 20, 5)
        filtered = index.query(queries, where={"label": ["a", "c"]})
        for one, other in zip(filtered, alone.query(queries), strict=True):
            assert (one.label, one.distances, one.neighbors) == (other.label, other.distances, other.neighbors)


def test_a_class_of_which_only_a_part_is_asked_about_is_uncalibrated(make: Callable[..., Index]) -> None:
    answer = make().query(np.array([0, 0, 1], np.float32), where={"group": ["a patient 3", "a patient 4"]})
    assert (answer.status, answer.label, len(answer.neighbors)) == (None, "a", 2)
    assert answer.promise.way is None
    assert answer.promise.left_out == ("b", "c")
    assert "only some of its references are asked about" in answer.reason


def test_all_keys_of_a_filter_hold_together_and_sources_take_a_star(draw: Draw) -> None:
    index = Index(metric="l1", class_rule="nearest", dim=3)
    sources = ["ward-3/x.png", "ward-3/y.png", "ward-4/x.png", "ward-3+/x.png", "*"]
    index.add(draw("a", 5, 0), list("aabba"), sources=sources)
    ids = lambda where: sorted(n.id for n in index.query(draw("a", 1, 1)[0], k=9, where=where).neighbors)  # noqa: E731
    assert ids({"source": "ward-3/*"}) == [0, 1]
    assert ids({"source": "*/x.png"}) == [0, 2, 3]
    assert ids({"source": "*"}) == [4]
    assert ids({"source": "ward-3*", "label": "a"}) == [0, 1]
    assert ids({"source": ["*/y.png", "ward-4/*"]}) == [1, 2]


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ({}, "give a dict of label, group, source"),
        ("a", "give a dict of"),
        ({"labels": "a"}, "no such key 'labels'. Did you mean 'label'"),
        ({"label": []}, "'label' is to be a text or a list"),
        ({"label": 7}, "'label' is to be a text or a list"),
        ({"label": [7]}, "'label' is to be a text or a list"),
        ({"label": ["a", "aa"]}, "holds no label 'aa'. Did you mean 'a'"),
        ({"group": ""}, "holds no group ''"),
        ({"source": "nowhere/*"}, r"holds no source 'nowhere/\*'"),
        ({"label": "a", "group": "b patient 3"}, "no reference has all of them"),
    ],
)
def test_a_filter_that_cannot_be_meant_is_refused(where: Any, said: str, make: Callable[..., Index]) -> None:
    for ask in (make().query, lambda q, where: make().range(q, 1.0, where=where)):
        with pytest.raises(IndexCallError, match=said):
            ask(np.zeros(3, np.float32), where=where)


def test_a_filter_follows_changes_of_the_references(make: Callable[..., Index], draw: Draw) -> None:
    index, query = make(), draw("a", 1, 3)[0]
    assert len(index.query(query, k=99, where={"label": "a"}).neighbors) == 10
    index.remove(groups="a patient 1")
    assert len(index.query(query, k=99, where={"label": "a"}).neighbors) == 9
    answer = index.query(query, where={"label": "a"})
    assert answer.promise.stale == ("a",)
    assert answer.status is None


# --------------------------------------------------------------------------------------------------- range


@given(seed=st.integers(0, 2**31), radius=st.floats(0, 8), metric=st.sampled_from(["l1", "l2", "cosine"]))
@settings(deadline=None, max_examples=30)
def test_range_finds_what_scikit_learn_finds(seed: int, radius: float, metric: Any) -> None:
    rng = np.random.default_rng(seed)
    vectors, queries = rng.normal(size=(40, 3)).astype(np.float32), rng.normal(size=(5, 3)).astype(np.float32)
    index = Index(metric=metric, class_rule="nearest", dim=3)
    index.add(vectors, ["a"] * 40)
    reference = NearestNeighbors(metric=metric, algorithm="brute").fit(vectors.astype(np.float64))
    apart = reference.kneighbors(queries.astype(np.float64), 40)[0]
    if np.abs(apart - radius).min() < 1e-5:
        return  # float32 and float64 may differ on which side of the edge it lies
    _, expected = reference.radius_neighbors(queries.astype(np.float64), radius, sort_results=True)
    found = index.range(queries, radius)
    assert [{n.id for n in one} for one in found] == [set(one.tolist()) for one in expected]
    for one in found:
        assert [n.distance for n in one] == sorted(n.distance for n in one)


def test_range_takes_the_edge_in_and_gives_one_tuple_for_one(make: Callable[..., Index], draw: Draw) -> None:
    index, query = make(), draw("a", 1, 7)[0]
    nearest = index.query(query).neighbors
    assert index.range(query, nearest[2].distance) == nearest[:3]
    assert index.range(query[None], nearest[2].distance) == [nearest[:3]]
    assert index.range(query, nearest[2].distance, where={"label": "b"}) == ()
    assert index.range([], 1.0) == []
    assert index.range(query, 0) == ()
    assert len(index.range(query, 1e6)) == len(index)


@pytest.mark.parametrize("radius", [-1, float("nan"), float("inf"), "1", None, True])
def test_a_radius_that_is_no_distance_is_refused(radius: Any, make: Callable[..., Index]) -> None:
    with pytest.raises(IndexCallError, match="a number from 0"):
        make().range(np.zeros(3, np.float32), radius)
