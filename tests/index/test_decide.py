"""Claims about statuses and reasons, one each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nearkin.contracts import Answer
from nearkin.index import Index

GRID = np.arange(1, 20, dtype=np.float32)[:, None]


def line(calibrated: str = "ab", rule: Any = "nearest") -> Index:
    """Classes on a line: a at 0, b at 30; the items of each calibration lie 1 to 19 away. For alpha = 0.1, 18 fits."""
    index = Index(metric="l1", class_rule=rule, dim=1)
    index.add(np.array([[0], [30]], np.float32), ["a", "b"])
    for label, items in (("a", GRID), ("b", 30 + GRID)):
        if label in calibrated:
            index.calibrate(items, [label] * 19)
    return index


def asked(index: Index, x: float, alpha: float | None = None) -> Answer:
    answer: Answer = index.query(np.array([x], np.float32), alpha=alpha)
    return answer


def test_one_class_that_fits_and_is_the_nearest_is_known() -> None:
    answer = asked(line(), 5)
    assert (answer.status, answer.label, answer.distance) == ("known", "a", 5.0)
    assert answer.p_values == {"a": 16 / 20, "b": 1 / 20}
    assert answer.distances == {"a": 5.0, "b": 25.0}
    assert answer.reason == "Nearest is 'a' at 5 (l1); its p-value 0.8 is above alpha 0.10 and no other class fits."


def test_two_classes_that_fit_are_ambiguous() -> None:
    answer = asked(line(), 14)
    assert (answer.status, answer.label) == ("ambiguous", "a")
    assert answer.reason == (
        "Nearest is 'a' at 14 (l1); its p-value 0.35 is above alpha 0.10, "
        "but 'b' (p-value 0.25) could fit: a person should look."
    )


def test_another_class_that_fits_alone_is_ambiguous() -> None:
    index = line("a")
    index.calibrate(30 + GRID / 10, ["b"] * 19)  # b is a tight class: its images lie within 1.9
    answer = asked(index, 18)
    assert (answer.status, answer.label) == ("ambiguous", "b")
    assert answer.reason == (
        "Nearest is 'b' at 12 (l1); its p-value 0.05 is not above alpha 0.10, "
        "but 'a' (p-value 0.15) could fit: a person should look."
    )


def test_no_class_that_fits_is_unknown() -> None:
    answer = asked(line(), -40)
    assert (answer.status, answer.label) == ("unknown", "a")
    assert answer.reason == (
        "Nearest is 'a' at 40 (l1); its p-value 0.05 is not above alpha 0.10 and no other class fits."
    )


def test_unknown_and_known_say_which_classes_could_not_be_ruled_out() -> None:
    assert asked(line("a"), -40).reason == (
        "Nearest is 'a' at 40 (l1); its p-value 0.05 is not above alpha 0.10 and no other calibrated class fits; "
        "uncalibrated, so not ruled out: 'b'."
    )
    assert asked(line("a"), 5).reason.endswith("; uncalibrated, so not ruled out: 'b'.")


def test_an_uncalibrated_nearest_class_has_no_status() -> None:
    answer = asked(line("a"), 28)
    assert (answer.status, answer.label) == (None, "b")
    assert answer.reason == "Nearest is 'b' at 2 (l1); 'b' is uncalibrated (none given), so nothing is promised."


def test_an_uncalibrated_nearest_class_is_ambiguous_where_another_fits() -> None:
    answer = asked(line("a"), 17)
    assert (answer.status, answer.label) == ("ambiguous", "b")
    assert answer.reason == (
        "Nearest is 'b' at 13 (l1); 'b' is uncalibrated (none given), "
        "but 'a' (p-value 0.2) could fit: a person should look."
    )


def test_nothing_calibrated_promises_nothing() -> None:
    answer = asked(line(""), 3)
    assert answer.status is None
    assert answer.p_values == {}
    assert answer.promise.way is None
    assert answer.promise.uncalibrated == {"a": "none given", "b": "none given"}


def test_the_same_scores_are_decided_again_at_another_alpha() -> None:
    index = line()
    assert [asked(index, 19, alpha).status for alpha in (0.05, 0.1, 0.5)] == ["ambiguous", "known", "unknown"]
    assert [asked(index, 19, alpha).promise.alpha for alpha in (None, 0.5)] == [0.1, 0.5]
    assert asked(index, 19, 0.049).promise.uncalibrated["a"] == "too few: 19 of needed 20 for alpha 0.049"
    assert "alpha 0.055 " in asked(index, -40, 0.055).reason


def test_an_answer_says_how_it_was_calibrated() -> None:
    promise = asked(line("a"), 3).promise
    assert (promise.alpha, promise.way, promise.groups) == (0.1, "held_out", {"a": 19})


def test_a_promise_is_one_plain_sentence() -> None:
    assert str(asked(line("a"), 3).promise) == (
        "On average over draws, at most 0.1 of the images of 'a' (19 groups) are flagged unknown "
        "(calibrated held-out); nothing is promised for 'b'."
    )
    assert str(asked(line(""), 3).promise) == "Nothing is promised: no class is calibrated."


def test_a_promise_names_the_classes_that_are_stale() -> None:
    index = line()
    index.add(np.array([[0.5]], np.float32), ["a"])
    assert index.promise.stale == ("a",)
    assert index.recalibrate().promise.stale == ()


@pytest.mark.parametrize("rule", ["nearest", "prototype"])
def test_ties_go_to_the_smallest_label(rule: Any) -> None:
    assert asked(line(rule=rule), 15).label == "a"


def test_prototype_names_the_class_of_the_nearest_mean() -> None:
    index = Index(metric="l2", class_rule="prototype", dim=1)
    index.add(np.array([[0], [10], [7]], np.float32), ["a", "a", "b"])  # means 5 and 7
    answer = index.query(np.array([9], np.float32))
    assert (answer.label, answer.distance) == ("b", 2.0)
    assert answer.neighbors[0].label == "a"
    assert answer.reason.startswith("Nearest by class mean is 'b', its nearest reference at 2 (l2)")


def test_attention_names_the_class_that_most_of_it_falls_on() -> None:
    index = Index(metric="cosine", class_rule="attention", dim=2)
    index.add(np.array([[1, 0], [1, 1], [1, 2]], np.float32), ["near", "many", "many"])
    answer = index.query(np.array([2, 0.1], np.float32))
    assert answer.label == "many"
    assert answer.neighbors[0].label == "near"
    assert answer.reason.startswith("Most attention falls on 'many'")


def test_answers_of_a_batch_are_those_of_single_queries(make: Callable[..., Index], draw: Callable[..., Any]) -> None:
    for metric, rule in (("l1", "nearest"), ("l2", "prototype"), ("cosine", "attention")):
        index = make(metric=metric, class_rule=rule)
        queries = np.concatenate([draw("a", 15, 1), draw("b", 15, 2)])
        assert index.query(queries) == [index.query(query) for query in queries]


@given(
    items=st.dictionaries(st.sampled_from("abc"), st.integers(1, 25), max_size=3),
    touched=st.sets(st.sampled_from("abc")),
    alpha=st.sampled_from([0.02, 0.05, 0.1, 0.3, 0.6]),
    asked=st.sets(st.sampled_from("abc"), min_size=1),
    x=st.floats(-40, 100, width=32),
)
@settings(deadline=None, max_examples=150)
def test_a_status_is_what_the_p_values_and_the_promise_say_and_never_more(
    items: dict[str, int], touched: set[str], alpha: float, asked: set[str], x: float
) -> None:
    index = Index(metric="l1", class_rule="nearest", dim=1)
    index.add(np.array([[0], [30], [60]], np.float32), list("abc"))
    for label, n in items.items():
        index.calibrate(np.arange(1, n + 1, dtype=np.float32)[:, None] + 0.5 + 30 * "abc".index(label), [label] * n)
    for label in touched:
        index.add(np.array([[30 * "abc".index(label) - 0.25]], np.float32), [label])
    answer = index.query(np.array([x], np.float32), alpha=alpha, where={"label": sorted(asked)})
    calibrated = {c for c in asked if c not in touched and 1 / (items.get(c, 0) + 1) <= alpha}
    assert set(answer.promise.uncalibrated) == asked - calibrated
    assert set(answer.promise.stale) == asked & touched & set(items)
    assert set(answer.p_values) == calibrated
    fitting = {c for c in calibrated if answer.p_values[c] > alpha}
    assert answer.label == min(asked, key=lambda c: (answer.distances[c], c))
    if answer.label not in calibrated:
        assert answer.status == ("ambiguous" if fitting else None)
        assert "is uncalibrated" in answer.reason
    elif fitting:
        assert answer.status == ("known" if fitting == {answer.label} else "ambiguous")
    else:
        assert answer.status == "unknown"
    assert (answer.promise.way is None) == (not calibrated)
    assert all(repr(c) in answer.reason for c in {*fitting, answer.label})
