"""Cluster figures: accuracy, recall a class, confusion matrix."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nearkin.components.evaluators.clusters import Clusters
from nearkin.components.evaluators.options import ResampledOptions


def measure(view, **options):
    return {figure.name: figure for figure in Clusters(ResampledOptions(**options)).evaluate(view)}


@pytest.fixture
def view(make_view, fake_index):
    """References at 0 (a), 10 (b); calibrated so that 3 or more away from both is unknown."""
    index = fake_index([[0], [10]], ["a", "b"], {"a": [2.0] * 20, "b": [2.0] * 20})
    return make_view([0, 1, 9, 5, 10, 11, 6, 20, -9], list("aaaabbb??"), index=index)


def test_figures_by_hand(view):
    figures = measure(view)
    assert list(figures) == ["cluster_accuracy", "balanced_accuracy", "recall_a", "recall_b"]
    assert figures["cluster_accuracy"].value == pytest.approx(6 / 7)  # 9 is nearest b; 5 ties and goes to a
    assert figures["recall_a"].value == pytest.approx(3 / 4)
    assert figures["recall_b"].value == 1
    assert figures["balanced_accuracy"].value == pytest.approx(7 / 8)
    assert [figure.n for figure in figures.values()] == [7, 7, 4, 3]


def test_the_confusion_matrix_has_an_unknown_column_and_a_row_of_unknowns(view):
    details = measure(view)["cluster_accuracy"].details
    assert details["rows"] == ["a", "b", "(unknown)"]
    assert details["columns"] == ["a", "b", "unknown"]
    assert details["confusion"] == [[2, 1, 1], [0, 2, 1], [0, 0, 2]]
    assert details["ambiguous"] == details["uncalibrated"] == [0, 0, 0]


def test_ambiguous_answers_count_under_their_label_and_apart(view, fake_index):
    wide = fake_index([[0], [10]], ["a", "b"], {"a": [6.0] * 20, "b": [6.0] * 20})
    details = measure(replace(view, index=wide))["cluster_accuracy"].details
    assert details["confusion"] == [[3, 1, 0], [0, 3, 0], [0, 0, 2]]
    assert details["ambiguous"] == [1, 1, 0]  # 5 and 6 are within 6 of both


def test_nothing_calibrated_still_has_accuracy_and_says_so(view, fake_index):
    figures = measure(replace(view, index=fake_index([[0], [10]], ["a", "b"])))
    assert figures["cluster_accuracy"].value == pytest.approx(6 / 7)
    assert figures["cluster_accuracy"].details["uncalibrated"] == [4, 3, 2]


def test_a_known_class_called_unknown_keeps_its_own_column(make_view, fake_index):
    index = fake_index([[0], [10]], ["a", "unknown"], {"a": [2.0] * 20, "unknown": [2.0] * 20})
    details = measure(make_view([0, 10, 50], ["a", "unknown", "?"], index=index))["cluster_accuracy"].details
    assert details["columns"] == ["a", "unknown", "(unknown)"]
    assert details["rows"] == ["a", "unknown", "(unknown)"]
    assert details["confusion"] == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]


def test_trained_images_and_copies_are_left_out(view):
    trained = replace(view, seen_digests=frozenset(["image-2"]))
    assert measure(trained)["recall_a"].value == 1
    assert measure(trained)["cluster_accuracy"].details["left_out"]["seen"] == 1


def test_a_class_without_test_images_has_no_recall_and_no_balanced_accuracy(view):
    figures = measure(replace(view, classes=("a", "b", "c")))
    assert figures["recall_c"].value is None
    assert figures["balanced_accuracy"].value is None
    assert "class 'c'" in figures["balanced_accuracy"].note
    assert figures["cluster_accuracy"].value == pytest.approx(6 / 7)


def test_no_known_image_at_all_measures_nothing(make_view, fake_index):
    index = fake_index([[0], [10]], ["a", "b"])
    for labels in ([], ["?", "?"]):
        figures = measure(make_view(np.zeros((len(labels), 1)), labels, classes=("a", "b"), index=index))
        assert [figure.value for figure in figures.values()] == [None] * 4


def test_order_and_names_change_nothing(view, shuffled):
    assert measure(shuffled(view, 3)) == measure(view)


def test_balanced_accuracy_of_a_rare_class_is_as_uncertain_as_that_class(make_view, fake_index):
    index = fake_index([[0], [10]], ["a", "b"])
    figures = measure(make_view([0] * 400 + [10] * 4, ["a"] * 400 + ["b"] * 4, index=index))
    assert figures["cluster_accuracy"].low > 0.98
    assert 0.75 < figures["balanced_accuracy"].low < 0.85  # Wilson for 4 / (1/400 + 1/4), about 16
    assert figures["balanced_accuracy"].high == 1
