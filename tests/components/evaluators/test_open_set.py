"""Figures about unknowns: AUROC, the shares flagged, and the range that alpha allows."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nearkin.components.evaluators.open_set import OpenSet
from nearkin.components.evaluators.options import ResampledOptions
from nearkin.components.evaluators.promises import expected_range


def measure(view, **options):
    return {figure.name: figure for figure in OpenSet(ResampledOptions(**options)).evaluate(view)}


@pytest.fixture
def view(make_view, fake_index):
    """References at 0 (a), 10 (b), calibrated by distances 0.1 to 2.0: p(distance 1.85) = 3/21."""
    scores = [i / 10 for i in range(1, 21)]
    index = fake_index([[0], [10]], ["a", "b"], {"a": scores, "b": scores})
    return make_view([0, 1, 1.95, 3, 10, 10.05, 4.5, 12.05, 10.5], list("aaaabb???"), index=index)


def test_figures_by_hand(view):
    figures = measure(view)
    ranked = ["unknown_auroc", "unknown_aupr", "known_aupr", "fpr_at_95_tpr", "oscr", "aurc"]
    assert list(figures) == [*ranked, "unknown_flagged", "flagged_a", "own_p_a", "flagged_b", "own_p_b"]
    # Distances of knowns 0, 1, 1.95, 3, 0, 0.05; of unknowns 4.5 (6 wins), 2.05 (5), 0.5 (3).
    assert figures["unknown_auroc"].value == pytest.approx(14 / 18)
    assert figures["fpr_at_95_tpr"].value == pytest.approx(2 / 3)
    assert figures["oscr"].value == pytest.approx(14 / 18), "every known is named right"
    assert figures["aurc"].value == pytest.approx((1 / 4 + 1 / 5 + 1 / 6 + 2 / 7 + 2 / 8 + 3 / 9) / 9)
    assert figures["unknown_flagged"].value == pytest.approx(2 / 3)
    assert figures["flagged_a"].value == figures["own_p_a"].value == 0.5  # p of 1.95 is 2/21, of 3 is 1/21
    assert figures["flagged_b"].value == figures["own_p_b"].value == 0
    assert (figures["unknown_auroc"].n, figures["unknown_flagged"].n, figures["flagged_a"].n) == (9, 3, 4)


def test_the_own_p_value_counts_even_where_another_class_saves_the_image_from_the_flag(make_view, fake_index):
    index = fake_index([[0], [10]], ["a", "b"], {"a": [0.5] * 20, "b": [2.0] * 20})
    figures = measure(make_view([0, 9, 10, 10], list("aabb"), index=index))
    assert (figures["flagged_a"].value, figures["own_p_a"].value) == (0, 0.5)


def test_the_own_p_value_is_compared_as_the_index_compares(make_view, fake_index):
    index = fake_index([[0]], ["a"], {"a": [0.5] * 9}, alpha=1 - 0.9)
    figure = measure(make_view([0, 1], list("aa"), index=index))["own_p_a"]
    assert (figure.value, figure.details["expected"]) == (0.5, 0.1)


def test_own_p_values_stand_beside_the_exact_range(view):
    details = measure(view)["own_p_a"].details
    assert details["expected"] == 2 / 21
    assert (details["n_calibration"], details["m"], details["alpha"]) == (20, 4, 0.1)
    assert details["low"] == 0
    assert details["inside"] is (details["high"] >= 0.5)


def test_of_a_group_one_image_is_asked_for_its_own_p_value(view):
    grouped = replace(view, groups=("p", "p", "q", "q", "r", "s", "t", "u", "v"))
    figures = measure(grouped)
    assert figures["own_p_a"].n == figures["own_p_a"].details["m"] == 2
    assert figures["own_p_a"].note == "2 groups, one image of each."
    assert (figures["flagged_a"].n, figures["flagged_a"].resampled) == (2, "groups")
    assert figures["flagged_a"].value == 0.5


@pytest.mark.parametrize("order", [0, 1, 2])
def test_one_embedding_for_everything_has_an_auroc_of_exactly_a_half(view, shuffled, order):
    same = replace(view, embeddings=np.full((9, 1), 0.3, dtype=np.float32))
    assert measure(shuffled(same, order))["unknown_auroc"].value == 0.5


def test_order_changes_nothing(view, shuffled):
    assert measure(shuffled(view, 3)) == measure(view)


def test_perfect_separation_still_has_an_interval_of_some_width(make_view, fake_index):
    index = fake_index([[0], [10]], ["a", "b"])
    figure = measure(make_view([0] * 30 + [50] * 5, ["a"] * 30 + ["?"] * 5, classes=("a", "b"), index=index))
    assert figure["unknown_auroc"].value == 1
    assert figure["unknown_auroc"].low == pytest.approx(5 / (5 + 1.959964**2), abs=1e-6)


def test_without_unknown_images_there_is_no_auroc_and_no_unknown_flagged(make_view, fake_index):
    figures = measure(make_view([0, 10], ["a", "b"], index=fake_index([[0], [10]], ["a", "b"])))
    for name in ("unknown_auroc", "unknown_aupr", "known_aupr", "fpr_at_95_tpr", "oscr", "unknown_flagged"):
        assert figures[name].value is None
        assert figures[name].note == "No test image of an unknown class may be asked about."


def test_an_uncalibrated_index_flags_nothing_and_each_figure_says_why(view, fake_index):
    figures = measure(replace(view, index=fake_index([[0], [10]], ["a", "b"])))
    assert figures["unknown_auroc"].value == pytest.approx(14 / 18)
    for name in ("unknown_flagged", "flagged_a", "own_p_a", "flagged_b", "own_p_b"):
        assert figures[name].value is None
        assert "is uncalibrated: none given" in figures[name].note


def test_one_uncalibrated_class_leaves_the_others_figures_and_is_named(view, fake_index):
    half = fake_index([[0], [10]], ["a", "b"], {"a": [1.0] * 20})
    figures = measure(replace(view, index=half))
    assert figures["flagged_a"].value is not None
    assert figures["flagged_b"].value is None
    assert "class 'b' is uncalibrated" in figures["unknown_flagged"].note


def test_a_class_without_test_images_and_an_empty_view_say_so(view, make_view, fake_index):
    assert "'c'" in measure(replace(view, classes=("a", "b", "c")))["own_p_c"].note
    empty = make_view(np.zeros((0, 1)), [], classes=("a", "b"), index=fake_index([[0], [10]], ["a", "b"]))
    assert len(measure(empty)) == 11
    assert all(figure.value is None for figure in measure(empty).values())


def below(n, m, ranks, count):
    """P(fewer than `count` of m test scores exceed the l-th largest of n calibration scores), all orders equal."""
    return sum(Fraction(comb(k + ranks - 1, k) * comb(n - ranks + m - k, m - k), comb(n + m, m)) for k in range(count))


@settings(deadline=None, max_examples=80)
@given(n=st.integers(4, 40), m=st.integers(1, 60), percent=st.integers(20, 80))
def test_the_exact_range_is_that_of_all_orders_of_the_scores(n, m, percent):
    found, ranks = expected_range(percent / 100, n, m), percent * (n + 1) // 100
    low, high = round(found["low"] * m), round(found["high"] * m)
    tail = Fraction(25, 1000)
    assert below(n, m, ranks, low) < tail <= below(n, m, ranks, low + 1)
    assert below(n, m, ranks, high) < 1 - tail <= below(n, m, ranks, high + 1)


def test_simulated_draws_keep_to_the_expected_share_and_the_exact_range():
    n, m, ranks = 20, 40, 2
    rng = np.random.default_rng(0)
    calibration, test = np.sort(rng.random((20_000, n)), axis=1), rng.random((20_000, m))
    # p <= 2/21 where fewer than 2 calibration scores are at least as large: beyond the second largest.
    shares = (test > calibration[:, [n - ranks]]).mean(axis=1)
    found = expected_range(0.1, n, m)
    assert shares.mean() == pytest.approx(found["expected"], abs=0.003)
    assert np.mean((found["low"] <= shares) & (shares <= found["high"])) >= 0.945


def test_an_alpha_that_can_never_flag_expects_nothing():
    assert expected_range(0.1, 5, 10)["high"] == expected_range(0.1, 5, 10)["expected"] == 0


def test_risk_over_coverage_needs_no_unknown_images(make_view, fake_index):
    figures = measure(make_view([0, 10, 4, 6.5], list("abba"), index=fake_index([[0], [10]], ["a", "b"])))
    # Nearest first: two right, then 6.5 (3.5 from b, truly a), then 4 (nearest a, truly b).
    assert figures["aurc"].value == pytest.approx((0 + 0 + 1 / 3 + 2 / 4) / 4)
    assert figures["aurc"].better == "lower"
    assert figures["aurc"].chance == 0.5


def test_what_chance_scores_stands_beside_each_ranking_figure(view):
    chances = {name: figure.chance for name, figure in measure(view).items() if figure.chance is not None}
    assert chances == pytest.approx(
        {
            "unknown_auroc": 0.5,
            "unknown_aupr": 3 / 9,
            "known_aupr": 6 / 9,
            "fpr_at_95_tpr": 0.95,
            "oscr": 4 / 6 / 2,
            "aurc": 5 / 9,
            "unknown_flagged": 0.1,
        }
    )
