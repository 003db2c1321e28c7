"""Verification: scikit-learn's curve, pairs that are fair, a threshold from select alone, intervals that hold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from nearkin.components.evaluators import verification
from nearkin.components.evaluators.options import VerificationOptions
from nearkin.components.evaluators.roc import Roc
from nearkin.components.evaluators.verification import Verification
from nearkin.contracts import LabelledEmbeddings


def measure(view, resamples=20, pairs=500, far=(0.1,), **options):
    given = VerificationOptions(resamples=resamples, pairs=pairs, far=far, **options)
    return {figure.name: figure for figure in Verification(given).evaluate(view)}


def clouds(rng, n, n_classes, spread=1.0):
    codes = np.arange(n) % n_classes
    return rng.normal(size=(n, 3)) + spread * np.eye(n_classes, 3)[codes] * 3, [f"c{code}" for code in codes]


def chosen(embeddings, labels, groups=None):
    names = tuple(f"select-{i}" for i in range(len(labels)))
    vectors = np.asarray(embeddings, dtype=np.float32).reshape(len(labels), -1)
    return LabelledEmbeddings(vectors, tuple(labels), groups or names, names)


@pytest.fixture
def view(make_view, fake_index):
    rng = np.random.default_rng(0)
    vectors, labels = clouds(rng, 60, 3)
    return make_view(vectors, labels, index=fake_index(metric="l2"), select=chosen(*clouds(rng, 30, 3)))


distances_of_pairs = st.lists(st.integers(0, 8), min_size=1, max_size=30)


@settings(deadline=None, max_examples=80)
@given(distances_of_pairs, distances_of_pairs, st.floats(0.01, 0.99))
def test_the_curve_is_scikit_learns(same, different, far):
    roc = Roc.of(np.array(same, np.float32), np.array(different, np.float32))
    truth, scores = [1] * len(same) + [0] * len(different), -np.array([*same, *different], dtype=float)
    false, true, _cuts = roc_curve(truth, scores, drop_intermediate=False)
    assert roc.auc() == pytest.approx(roc_auc_score(truth, scores))
    assert roc.tar_at(far) == pytest.approx(true[false <= far * (1 + 1e-9)].max())
    # The equal error rate: where the curve, drawn with straight lines, meets the line from (0, 1) to (1, 0).
    grid = np.linspace(0, 1, 20_001)
    crossing = grid[np.argmin(np.abs(np.interp(grid, false, true) - (1 - grid)))]
    vertical = (np.diff(false) == 0) & (np.minimum(true[:-1], true[1:]) <= 1 - false[1:]) & (true[1:] >= 1 - false[1:])
    expected = false[1:][vertical][0] if vertical.any() else crossing
    assert roc.equal_error_rate() == pytest.approx(expected, abs=2e-4)
    cut = roc.best_cut()
    assert np.subtract(*roc.at(cut)[::-1]) == pytest.approx((true - false).max())


def test_perfect_and_opposite_curves():
    near, wide = np.array([1.0, 2.0], np.float32), np.array([5.0, 6.0], np.float32)
    assert (Roc.of(near, wide).auc(), Roc.of(near, wide).equal_error_rate()) == (1, 0)
    assert (Roc.of(wide, near).auc(), Roc.of(wide, near).equal_error_rate()) == (0, 1)
    assert Roc.of(near, wide).best_cut() == 3.5
    assert Roc.of(wide, near).at(Roc.of(wide, near).best_cut()) == (0, 0)


def test_there_are_as_many_pairs_of_one_class_as_of_two_and_none_within_a_group(make_view, fake_index, monkeypatch):
    seen = []

    def remember(pool, **given):
        drawn = draw(pool, **given)
        seen.append(drawn)
        return drawn

    draw = verification.draw_questions
    monkeypatch.setattr(verification, "draw_questions", remember)
    rng = np.random.default_rng(0)
    labels = [*"aaaaaaaa", *"bbbb", *"cc"]
    groups = (*"ppppqqrs", *"ttuv", *"wx")
    view = make_view(rng.normal(size=(14, 2)), labels, index=fake_index(metric="l2"), groups=groups)
    measure(view, pairs=300)
    items = verification.labelled(view, "all")
    for drawn in seen:
        classes, units = items.codes, items.units
        assert (classes[drawn.choices[:, 0]] == classes[drawn.queries]).all()
        assert (classes[drawn.choices[:, 1]] != classes[drawn.queries]).all()
        assert (units[drawn.choices[:, 0]] != units[drawn.queries]).all()
        assert np.bincount(classes[drawn.queries]).tolist() == [100, 100, 100]


def test_figures_by_hand(make_view, fake_index):
    # Of one class: 1 apart; of two: 10 or more. Class c has nobody to be paired with.
    select = chosen([0, 2, 10, 12], list("aabb"))
    view = make_view([0, 1, 10, 11, 50], list("aabbc"), index=fake_index(), select=select)
    figures = measure(view)
    assert list(figures) == ["verification_auc", "equal_error_rate", "threshold_accuracy", "tar_at_far_0.1"]
    assert (figures["verification_auc"].value, figures["equal_error_rate"].value) == (1, 0)
    assert figures["threshold_accuracy"].value == 1
    assert figures["threshold_accuracy"].details["threshold"] == pytest.approx((2 + 8) / 2)
    assert figures["verification_auc"].details["left_out"]["alone_in_class"] == 1
    assert figures["verification_auc"].n == 4


def test_the_threshold_comes_from_select_and_test_labels_cannot_move_it(view):
    threshold = measure(view)["threshold_accuracy"].details["threshold"]
    relabelled = replace(view, labels=tuple(np.random.default_rng(1).permutation(view.labels).tolist()))
    assert measure(relabelled)["threshold_accuracy"].details["threshold"] == threshold
    assert measure(relabelled)["threshold_accuracy"].value < measure(view)["threshold_accuracy"].value
    doubled = replace(view, select=replace(view.select, embeddings=2 * view.select.embeddings))
    assert measure(doubled)["threshold_accuracy"].details["threshold"] == pytest.approx(2 * threshold)


@pytest.mark.parametrize("select", [None, chosen([0, 1], list("ab")), chosen([0, 1], list("aa"))])
def test_without_pairs_in_select_there_is_no_threshold_and_it_says_why(view, select):
    if select is not None:
        select = replace(select, embeddings=np.zeros((2, 3), np.float32))
    figures = measure(replace(view, select=select))
    assert figures["threshold_accuracy"].value is None
    assert "select images" in figures["threshold_accuracy"].note
    assert figures["verification_auc"].value is not None


def test_a_far_that_the_pairs_cannot_show_says_how_many_it_needs(view):
    figures = measure(view, pairs=2000, far=(0.1, 0.005))
    assert figures["tar_at_far_0.1"].value is not None
    # 60 images in three classes make 1,200 pairs of two classes.
    assert figures["tar_at_far_0.005"].value is None
    assert figures["tar_at_far_0.005"].note == "FAR 0.005 needs 2,000 pairs of two classes, and there are 1,200."
    assert "there are 500" in measure(view, pairs=500, far=(0.01,))["tar_at_far_0.01"].note


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 10_000))
def test_items_in_another_order_have_the_same_figures(make_view, fake_index, shuffled, seed):
    rng = np.random.default_rng(seed)
    labels = [*"aaaabbbbcccc", *rng.choice(list("abcd"), 8)]
    groups = tuple(map(str, rng.integers(0, 14, 20)))
    vectors = rng.integers(0, 4, (20, 2))
    select = chosen(rng.integers(0, 4, (8, 2)), list("aaaabbbb"))
    view = make_view(vectors, labels, index=fake_index(metric="l2"), groups=groups, select=select)
    assert measure(shuffled(view, seed), pairs=50) == measure(view, pairs=50)


def test_known_and_unknown_classes_can_be_asked_apart(make_view, fake_index):
    view = make_view([0, 1, 0, 1, 50, 51], list("aabbuu"), classes=("a", "b"), index=fake_index())
    assert measure(view, classes="known")["verification_auc"].n == 4
    assert measure(view)["verification_auc"].n == 6
    assert measure(view, classes="unknown")["verification_auc"].note.startswith("Pairs need")


def test_more_images_than_asked_for_are_drawn_class_by_class_and_counted(view):
    figure = measure(view, images=30)["verification_auc"]
    assert (figure.n, figure.details["left_out"]["over_quota"]) == (30, 30)


def test_an_empty_view_says_why(make_view, fake_index):
    figures = measure(make_view(np.zeros((0, 2)), [], classes=("a", "b"), index=fake_index()))
    assert all(figure.value is None and figure.note for figure in figures.values())


def test_the_interval_covers_the_mean_of_other_draws(make_view, fake_index, count):
    draws = count("draws of a test set behind the coverage of verification's intervals", 50, 1000)
    rng = np.random.default_rng(0)

    def draw():
        vectors, labels = clouds(rng, 45, 3, spread=0.4)
        return measure(make_view(vectors, labels, index=fake_index(metric="l2")), resamples=100, pairs=300)

    figures = [draw() for _ in range(draws)]
    for name in ("verification_auc", "equal_error_rate", "tar_at_far_0.1"):
        truth = np.mean([figure[name].value for figure in figures])
        covered = np.mean([figure[name].low <= truth <= figure[name].high for figure in figures])
        assert covered >= 0.92, name
