"""Leave-one-group-out: references that trained nothing calibrate each other, exactly, or are refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nearkin.errors import IndexCallError
from nearkin.index import Index, load, save
from nearkin.index.distances import distances
from nearkin.index.engines import built_in
from nearkin.index.scores import BUILT_IN

Draw = Callable[..., Any]


def scores_of(index: Index, label: str) -> list[float]:
    (own,) = index._state.calibration.sorted_scores[label]
    return [float(score) for score in own]


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("metric", ["l1", "l2", "cosine"])
def test_each_reference_is_scored_against_those_of_other_groups(metric: Any, k: int, draw: Draw) -> None:
    index = Index(metric=metric, class_rule="nearest", dim=3, score={"type": "knn", "k": k})
    vectors, groups = draw("a", 24, 0), [f"p{i // 2}" if i < 8 else "" for i in range(24)]
    index.add(np.concatenate([vectors, draw("b", 12, 1)]), ["a"] * 24 + ["b"] * 12, groups=[*groups, *[""] * 12])
    index.calibrate_on_references()
    apart = distances(vectors, vectors, metric)
    for i, group in enumerate(groups):
        apart[i, [j for j, other in enumerate(groups) if i == j or (group and group == other)]] = np.inf
    drawn = index._state.calibration.drawn["a"]
    assert len(drawn) == 20
    assert scores_of(index, "a") == pytest.approx(np.sort(np.sort(apart, axis=1)[drawn, k - 1]))
    assert (index.promise.way, index.promise.groups) == ("leave_one_group_out", {"a": 20, "b": 12})
    assert "(calibrated leave-one-group-out)" in str(index.query(vectors[0]).promise)


@given(values=st.lists(st.integers(0, 60), min_size=10, max_size=18, unique=True), k=st.integers(1, 3))
@settings(deadline=None, max_examples=30)
def test_a_p_value_is_at_least_that_of_a_ranking_with_the_new_image_among_the_references(
    values: list[int], k: int
) -> None:
    """Which is exact by exchangeability: so the promise holds."""
    *held, new = [np.float32(value) for value in values]
    index = Index(metric="l1", class_rule="nearest", dim=1, score={"type": "knn", "k": k})
    index.add(np.array(held)[:, None], ["a"] * len(held))
    index.calibrate_on_references()
    everyone = np.array([*held, new])
    apart = np.abs(everyone[:, None] - everyone)
    np.fill_diagonal(apart, np.inf)
    full = np.sort(apart, axis=1)[:, k - 1]
    exact = np.mean(full >= full[-1])
    assert index.query(np.array([new])).p_values["a"] >= exact - 1e-12


@pytest.mark.parametrize("score", sorted(set(BUILT_IN) - {"knn"}))
def test_other_scores_are_refused_with_the_reason(score: str, make: Callable[..., Index]) -> None:
    with pytest.raises(IndexCallError, match=r"unproven that the score .* only shrinks .* held-out images"):
        make({}, score=score).calibrate_on_references()


def test_an_approximate_engine_is_refused_with_the_mend(draw: Draw) -> None:
    index = Index(metric="l2", class_rule="nearest", dim=3)
    index.add(np.concatenate([draw(label, 200, seed) for seed, label in enumerate("ab")]), ["a"] * 200 + ["b"] * 200)
    index.calibrate_on_references().use_engine(built_in("ivf", {"at_least": 50, "lists": 4, "probes": 1}))
    assert index.promise.stale == ("a", "b")
    for again in (index.calibrate_on_references, index.recalibrate):
        with pytest.raises(IndexCallError, match=r"approximate.*use_engine\('flat'\)"):
            again()
    assert index.use_engine("flat").recalibrate().promise.uncalibrated == {}


def test_references_that_trained_do_not_calibrate_and_a_class_of_nothing_else_is_refused(draw: Draw) -> None:
    index = Index(metric="l1", class_rule="nearest", dim=3, trained_digests=frozenset({"ancestor's"}))
    digests = ["ancestor's", *map(str, range(19))]
    index.add(draw("a", 20, 0), ["a"] * 20, digests=digests, trained=[False] * 10 + [True] * 10)
    index.add(draw("b", 9, 1), ["b"] * 9, trained=True)
    with pytest.raises(IndexCallError, match="every reference of 'b' trained the model, was chosen for review"):
        index.calibrate_on_references()
    assert index.calibrate_on_references("a").promise.groups == {"a": 9}
    assert index.promise.uncalibrated == {"b": "none given"}


def test_the_groups_of_what_trained_do_not_calibrate_either(draw: Draw) -> None:
    index = Index(metric="l1", class_rule="nearest", dim=3)
    index.add(draw("a", 12, 0), ["a"] * 12, groups=[f"p{i // 2}" for i in range(12)], trained=[True] + [False] * 11)
    assert index.calibrate_on_references().promise.groups == {"a": 5}
    index.remember_trained(draw("a", 1, 9), groups=["p3"])
    with pytest.raises(IndexCallError, match=r"are of such a group: item 4 .*leaves them out|item 4, item 5"):
        index.recalibrate()
    assert index.calibrate_on_references().promise.groups == {"a": 4}


def test_reviewed_images_become_references_and_never_calibrate(draw: Draw, tmp_path: Path) -> None:
    index = Index(metric="l1", class_rule="nearest", dim=3)
    index.add(draw("a", 10, 0), ["a"] * 10)
    odd = draw("a", 2, 5)
    index.add(odd, ["a"] * 2, groups=["p", ""], digests=["odd one", ""], reviewed=True)
    assert index.calibrate_on_references().promise.groups == {"a": 10}
    index.remove(ids=[10, 11])
    save(index, tmp_path / "i")
    again = load(tmp_path / "i")
    for named in ({"groups": ["p"]}, {"digests": ["odd one"]}):
        with pytest.raises(IndexCallError, match=r"were chosen for review, and so are not as new images are: item 0"):
            again.calibrate(draw("a", 1, 6), ["a"], **named)
    with pytest.raises(IndexCallError, match="chosen for review"):
        again.calibrate(odd[1:], ["a"])
    with pytest.raises(IndexCallError, match="reviewed: 1 given for 2 items"):
        index.add(odd, ["a"] * 2, reviewed=[True])


def test_copies_in_several_groups_are_refused_by_name(draw: Draw) -> None:
    index = Index(metric="l1", class_rule="nearest", dim=3)
    index.add(draw("a", 9, 0), ["a"] * 9, digests=[*"abcdefgh", "a"], sources=[f"{i}.png" for i in range(9)])
    with pytest.raises(IndexCallError, match=r"copies of one image .* item 0 \(0.png\), item 8 \(8.png\)"):
        index.calibrate_on_references()
    index.remove(ids=8)
    index.add(index.references.vectors[:2], ["a"] * 2)
    with pytest.raises(IndexCallError, match=r"copies of one image .* item 0, item 1, item 8|item 8, item 9"):
        index.calibrate_on_references()


def test_recalibrating_scores_the_same_references_as_they_are_now(draw: Draw) -> None:
    index = Index(metric="l1", class_rule="nearest", dim=3)
    index.add(np.concatenate([draw("a", 12, 0), draw("b", 12, 1)]), ["a"] * 12 + ["b"] * 12)
    index.calibrate_on_references()
    index.remove(ids=0)
    index.add(draw("a", 5, 7), ["a"] * 5)
    assert index.promise.uncalibrated == {
        "a": "stale: references of this class changed since calibration, or what may calibrate did"
    }
    assert index.recalibrate().promise.groups == {"a": 11, "b": 12}
    assert index.calibrate_on_references().promise.groups == {"a": 16, "b": 12}
    index.relabel("b", ids=[1])
    assert index.recalibrate().promise.groups == {"a": 15, "b": 13}
    index.relabel("c", labels="b")
    assert index.promise.uncalibrated == {}


def test_items_of_classes_that_went_do_not_keep_an_index_from_another_way(
    make: Callable[..., Index], draw: Draw
) -> None:
    index = make({"a": 20, "b": 20})
    index.remove(labels="b")
    assert index.calibrate_on_references("a").promise.groups == {"a": 10}
    assert index.history[-1].details["dropped"] == {"b": 20}
    index.add(draw("b", 10, 7), ["b"] * 10)
    assert index.promise.uncalibrated["b"] == "none given"
    assert index.calibrate_on_references().remove(labels=["a", "c"]) == 20
    assert index.calibrate(draw("b", 15, 8), ["b"] * 15).promise.way == "held_out"
    assert index.history[-1].details["dropped"] == {"a": 10, "c": 10}


def test_an_index_stands_on_one_way(make: Callable[..., Index], draw: Draw) -> None:
    index = make({"a": 20, "b": 20})
    with pytest.raises(IndexCallError, match="'b' would stay calibrated held-out, and these leave-one-group-out"):
        index.calibrate_on_references("a")
    assert index.promise.way == "held_out"
    index.calibrate_on_references()
    with pytest.raises(IndexCallError, match="'b', 'c' would stay calibrated leave-one-group-out"):
        index.calibrate(draw("a", 20, 100), ["a"] * 20)
    with pytest.raises(IndexCallError, match=r"merge: a leave-one-group-out calibration .*keep_calibration=False"):
        make({}).merge(index, renumber=True)


def test_too_few_outside_of_one_group_are_uncalibrated_with_the_reason(draw: Draw) -> None:
    index = Index(metric="l1", class_rule="nearest", dim=3, score={"type": "knn", "k": 3})
    index.add(draw("a", 13, 0), ["a"] * 13, groups=[*["p"] * 11, "", ""])
    index.calibrate_on_references(alpha=0.4)
    assert index.promise.uncalibrated == {"a": "fewer references than the score needs outside of one group: it needs 3"}
    assert index.query(draw("a", 1, 4)[0]).status is None


def test_an_index_opens_calibrated_as_it_was_saved(make: Callable[..., Index], draw: Draw, tmp_path: Path) -> None:
    index = make({}).calibrate_on_references()
    save(index, tmp_path / "i")
    again = load(tmp_path / "i")
    assert again.query(draw("a", 5, 9)) == index.query(draw("a", 5, 9))
    assert all(not check.problem for check in again.verify())
    assert again.recalibrate().query(draw("a", 5, 9)) == index.query(draw("a", 5, 9))
