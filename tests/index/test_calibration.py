"""Claims about conformal p-values: their definition, their promise, and what would break it."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nearkin.errors import IndexCallError
from nearkin.index import Index
from nearkin.index.calibration import Calibration, fits, groups_needed
from nearkin.index.ranks import Ranks

Draw = Callable[..., Any]


def calibration_of(scores: dict[str, list[float]]) -> Calibration:
    labels = tuple(label for label, own in scores.items() for _ in own)
    n = len(labels)
    flat = np.array([s for own in scores.values() for s in own], dtype=np.float32)
    return Calibration(
        np.arange(n, dtype=np.float32)[:, None], labels, ("",) * n, ("",) * n, ("",) * n, flat, frozenset(scores)
    )


@given(
    own=st.dictionaries(st.sampled_from("abc"), st.lists(st.integers(-2, 6).map(float), min_size=1, max_size=12)),
    queries=st.lists(
        st.tuples(*[st.integers(-3, 7).map(float) | st.sampled_from((-0.0, np.inf, -np.inf))] * 3),
        min_size=1,
        max_size=5,
    ),
)
@settings(deadline=None, max_examples=60)
def test_p_values_are_their_definition(own: dict[str, list[float]], queries: list[tuple[float, ...]]) -> None:
    scores = np.array(queries, dtype=np.float32)
    p = Ranks.of(calibration_of(own).sorted_scores, ("a", "b", "c")).p_values([scores])
    for row, query in zip(p, queries, strict=True):
        for value, label, s in zip(row, "abc", query, strict=True):
            if label not in own:
                assert math.isnan(value)
            else:
                assert value == (1 + sum(s_i >= s for s_i in own[label])) / (len(own[label]) + 1)


@given(n=st.integers(1, 400))
@settings(deadline=None, max_examples=100)
def test_the_groups_needed_are_the_fewest_that_can_rule_a_class_out(n: int) -> None:
    for alpha in (0.10, 0.05, 0.01, 1 - 0.9, 1 / 3, 1 / 49, 0.07, 0.3, 0.5, 0.9):
        can_flag = not fits(np.array([1 / (n + 1)]), alpha)[0]
        assert can_flag == (n >= groups_needed(alpha))
        assert can_flag == (Fraction(1, n + 1) <= Fraction(alpha).limit_denominator(1000))


def test_nine_groups_are_enough_for_a_tenth(make: Callable[..., Index], draw: Draw) -> None:
    assert groups_needed(0.1) == 9
    far = np.full(3, 500, dtype=np.float32)
    assert make({"a": 9, "b": 9, "c": 9}).query(far).status == "unknown"
    few = make({"a": 9, "b": 9, "c": 8}).query(far)
    assert few.promise.uncalibrated == {"c": "too few: 8 of needed 9 for alpha 0.1"}


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize(("n", "alpha"), [(19, 0.10), (19, 0.05), (12, 0.2)])
def test_the_share_of_own_class_images_flagged_is_as_promised(n: int, alpha: float, k: int) -> None:
    rng = np.random.default_rng(0)
    draws, per_draw, flagged = 400, 50, 0
    for _ in range(draws):
        index = Index(metric="l2", class_rule="nearest", dim=2, score={"type": "knn", "k": k})
        index.add(rng.normal(size=(5, 2)).astype(np.float32), ["a"] * 5)
        index.calibrate(rng.normal(size=(n, 2)).astype(np.float32), ["a"] * n, alpha=alpha)
        answers = index.query(rng.normal(size=(per_draw, 2)).astype(np.float32))
        flagged += sum(answer.status == "unknown" for answer in answers)
    expected = math.floor(alpha * (n + 1) + 1e-9) / (n + 1)
    # Queries of one draw share its calibration: the share flagged there is beta-binomial (Vovk 2012).
    variance = expected * (1 - expected) * (1 / (n + 2) + 1 / per_draw) / draws
    assert abs(flagged / (draws * per_draw) - expected) < 4 * math.sqrt(variance)
    assert expected <= alpha


def test_one_item_of_each_group_is_drawn_and_always_the_same() -> None:
    index = Index(metric="l1", class_rule="nearest", dim=1)
    index.add(np.zeros((2, 1), np.float32), ["a", "b"])
    vectors = np.arange(1, 31, dtype=np.float32)[:, None]
    groups = [f"p{i // 3}" for i in range(30)]
    index.calibrate(vectors, ["a"] * 30, groups=groups)
    first = index._state.calibration.sorted_scores["a"][0].tolist()
    assert len(first) == 10
    assert [math.ceil(s / 3) for s in first] == list(range(1, 11))
    assert {s % 3 for s in first} == {0, 1, 2}
    index.recalibrate()
    assert index._state.calibration.sorted_scores["a"][0].tolist() == first
    index.calibrate(vectors, ["b"] * 30, groups=groups)
    assert index._state.calibration.sorted_scores["a"][0].tolist() == first
    assert index.promise.groups == {"a": 10, "b": 10}


def test_items_without_a_group_stand_for_themselves(make: Callable[..., Index]) -> None:
    assert make({"a": 12}).promise.groups == {"a": 12}


def test_items_that_trained_the_model_are_refused_by_name(draw: Draw) -> None:
    index = Index(metric="l1", class_rule="nearest", dim=3, trained_digests=frozenset({"d1"}))
    index.add(draw("a", 5, 0), ["a"] * 5)
    with pytest.raises(IndexCallError, match=r"trained the model: item 1 \(p/x.png\)\.\n.*Calibrate on others"):
        index.calibrate(draw("a", 2, 1), ["a"] * 2, digests=["d0", "d1"], sources=["p/w.png", "p/x.png"])
    assert index.promise.groups == {}


def test_items_that_trained_are_refused_even_after_their_references_went(draw: Draw) -> None:
    index = Index(metric="l1", class_rule="nearest", dim=3)
    index.add(draw("a", 3, 0), ["a"] * 3, digests=["x", "y", "z"], trained=[False, True, False])
    index.remove(ids=[0, 1])
    index.calibrate(draw("a", 1, 1), ["a"], digests=["x"])
    with pytest.raises(IndexCallError, match="trained the model: item 0"):
        index.calibrate(draw("a", 1, 1), ["a"], digests=["y"])
    with pytest.raises(IndexCallError, match="are references of the index: item 0"):
        index.calibrate(draw("a", 1, 1), ["a"], digests=["z"])


@pytest.mark.parametrize("metric", ["l1", "l2", "cosine"])
def test_embeddings_of_references_are_refused_where_no_digest_tells(metric: Any, draw: Draw) -> None:
    index = Index(metric=metric, class_rule="nearest", dim=3)
    references = draw("a", 8, 0)
    index.add(references, ["a"] * 8, trained=True)
    items = draw("a", 4, 1)
    items[2] = references[5] * np.float32(1 + 3e-7)
    for digests in (None, ["p", "q", "r", "s"]):
        with pytest.raises(IndexCallError, match=r"have the embedding of a reference: item 2\."):
            index.calibrate(items, ["a"] * 4, digests=digests)


def test_groups_of_references_are_refused(make: Callable[..., Index], draw: Draw) -> None:
    index = make()
    with pytest.raises(IndexCallError, match=r"of a group that references are of: item 1\."):
        index.calibrate(draw("a", 2, 9), ["a"] * 2, groups=["new", "b patient 3"])


def test_labels_without_references_are_refused_with_the_nearest_name(draw: Draw) -> None:
    index = Index(metric="l1", class_rule="nearest", dim=3)
    index.add(draw("a", 2, 0), ["covid", "normal"])
    with pytest.raises(IndexCallError, match=r"'cowid'.*Did you mean 'covid'") as error:
        index.calibrate(draw("a", 2, 1), ["cowid", "tb"])
    assert "'tb'" in str(error.value)


@pytest.mark.parametrize("way", ["held_out", "leave_one_group_out"])
def test_a_class_whose_items_turn_out_to_have_trained_or_been_reviewed_promises_nothing_more(
    way: str, make: Callable[..., Index], draw: Draw
) -> None:
    def calibrated() -> tuple[Index, Any]:
        index = make({})
        if way == "held_out":
            index.calibrate(draw("a", 20, 100), ["a"] * 20).calibrate(draw("b", 20, 101), ["b"] * 20)
            return index, draw("a", 20, 100)[:1]
        index.calibrate_on_references()
        return index, index.references.vectors[:1]

    index, item = calibrated()
    index.remember_trained(item)
    assert index.promise.stale == ("a",)
    with pytest.raises(IndexCallError, match="trained"):
        index.recalibrate()
    for flag in ("trained", "reviewed"):
        index, item = calibrated()
        index.add(item, ["c"], **{flag: True})
        assert "a" in index.promise.stale
        assert "b" not in index.promise.stale
    index, _ = calibrated()
    index.remember_trained(draw("c", 1, 300), groups=["nobody's"])
    assert index.promise.stale == ()


def test_only_the_class_whose_references_changed_is_stale(make: Callable[..., Index], draw: Draw) -> None:
    stale = "stale: references of this class changed since calibration, or what may calibrate did"
    index = make()
    index.add(draw("a", 1, 50), ["a"])
    assert index.promise.uncalibrated == {"a": stale}
    index.remove(groups=["b patient 0"])
    assert index.promise.uncalibrated == {"a": stale, "b": stale}
    index.recalibrate()
    assert index.promise.uncalibrated == {}


def test_recalibrating_is_as_calibrating_anew(make: Callable[..., Index], draw: Draw) -> None:
    extra, queries = draw("a", 4, 50), draw("b", 6, 51)
    one = make()
    one.add(extra, ["a"] * 4)
    one.recalibrate()
    other = make({})
    other.add(extra, ["a"] * 4)
    for seed, label in enumerate("abc"):
        other.calibrate(draw(label, 20, 100 + seed), [label] * 20)
    assert one.query(queries) == other.query(queries)


def test_recalibrating_refuses_items_that_became_references(make: Callable[..., Index], draw: Draw) -> None:
    index = make()
    index.add(draw("a", 20, 100)[:1], ["a"])
    with pytest.raises(IndexCallError, match="have the embedding of a reference: item 0"):
        index.recalibrate()


def test_calibrating_a_class_leaves_the_others_as_they_were(make: Callable[..., Index], draw: Draw) -> None:
    index = make()
    index.add(draw("b", 1, 50), ["b"])
    index.calibrate(draw("a", 30, 60), ["a"] * 30)
    assert index.promise.groups == {"a": 30, "b": 20, "c": 20}
    assert list(index.promise.uncalibrated) == ["b"]


def test_a_class_with_fewer_references_than_k_is_uncalibrated_until_it_has_them(draw: Draw) -> None:
    index = Index(metric="l1", class_rule="nearest", dim=3, score={"type": "knn", "k": 3})
    index.add(draw("a", 5, 0), ["a"] * 5)
    index.add(draw("b", 2, 1), ["b"] * 2)
    index.calibrate(np.concatenate([draw("a", 10, 2), draw("b", 10, 3)]), ["a"] * 10 + ["b"] * 10)
    assert index.promise.uncalibrated == {"b": "fewer references than the score needs: 2 of 3"}
    assert index.query(draw("b", 1, 4)[0]).status is None
    index.add(draw("b", 1, 5), ["b"])
    assert index.recalibrate().promise.uncalibrated == {}


def test_a_class_that_went_keeps_its_items_for_when_it_returns(make: Callable[..., Index], draw: Draw) -> None:
    index = make()
    assert index.remove(labels="c") == 10
    assert index.labels == ("a", "b")
    assert set(index.query(draw("a", 1, 7)[0]).p_values) == {"a", "b"}
    index.recalibrate()
    index.add(draw("c", 10, 2), ["c"] * 10)
    assert list(index.promise.uncalibrated) == ["c"]
    assert index.recalibrate().promise.uncalibrated == {}


def test_folds_may_come_one_by_one(make: Callable[..., Index], draw: Draw) -> None:
    folds = [make({}).calibrate(draw("a", 5, 70 + number), ["a"] * 5) for number in range(2)]
    assert make({}).calibrate_across(fold for fold in folds).promise.groups == {"a": 10}  # type: ignore[arg-type]
