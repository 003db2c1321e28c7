"""The n-way exam: what may be asked, how it is marked, and how far its interval can be trusted."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nearkin.components.draws import draw_distinct
from nearkin.components.evaluators import n_way_exam
from nearkin.components.evaluators.askable import Askable
from nearkin.components.evaluators.n_way_exam import (
    NWayExam,
    exam_items,
    marks,
    what_is_missing,
)
from nearkin.components.evaluators.options import NWayExamOptions
from nearkin.components.evaluators.questions import Pool, Questions, at_most, draw_questions, resamples_of


def exam(view, **options):
    (figure,) = NWayExam(NWayExamOptions(**options)).evaluate(view)
    return figure


def blobs(make_view, n=60, classes=3, spread=1.0, seed=0, **given):
    rng = np.random.default_rng(seed)
    codes = np.arange(n) % classes
    embeddings = rng.normal(size=(n, 2)) + spread * np.eye(classes, 2)[codes]
    return make_view(embeddings, ["abcdef"[code] for code in codes], **given)


def expected_score(view, n_way):
    """The mean over all questions that could be asked, in plain Python: hypergeometric draws of distractors."""
    classes, total = view.classes, Fraction(0)
    for label in classes:
        own = [i for i, other in enumerate(view.labels) if other == label]
        others = [i for i, other in enumerate(view.labels) if other in classes and other != label]
        scores = [
            mean_of_positives(view, query, [p for p in own if view.groups[p] != view.groups[query]], others, n_way)
            for query in own
        ]
        total += sum(scores) / len(scores) / len(classes)
    return float(total)


def mean_of_positives(view, query, positives, others, n_way):
    def far(i):
        return float(np.abs(view.embeddings[query] - view.embeddings[i]).sum(dtype=np.float64))

    score, k = Fraction(0), n_way - 1
    for positive in positives:
        closer = sum(far(i) < far(positive) for i in others)
        tied = sum(far(i) == far(positive) for i in others)
        rest = len(others) - closer - tied
        for t in range(min(k, tied) + 1):
            score += Fraction(comb(tied, t) * comb(rest, k - t), comb(len(others), k)) / (1 + t)
    return score / len(positives)


# ------------------------------------------------------------------------------------------ what may be asked

ENOUGH = [(label, f"{label}{i % 2}") for label in "abc" for i in range(3)]
"""Two groups and three images of each class, so that most drawn views can hold an exam."""


@st.composite
def views(draw, make_view):
    """Images in few groups; some come twice, under their own label or another; some trained the model."""
    images = ENOUGH + draw(
        st.lists(st.tuples(st.sampled_from("abc?"), st.sampled_from(["a0", "b1", "x", "y"])), max_size=20)
    )
    again = draw(
        st.lists(st.tuples(st.integers(0, len(images) - 1), st.sampled_from("abc="), st.booleans()), max_size=6)
    )
    rows = [(label, group, i) for i, (label, group) in enumerate(images)]
    rows += [(images[i][0] if label == "=" else label, "z" if moved else images[i][1], i) for i, label, moved in again]
    labels, groups, digests = zip(*draw(st.permutations(rows)), strict=True)
    trained = draw(st.sets(st.integers(0, len(images) - 1), max_size=3))
    return make_view(
        np.zeros(len(rows)),
        labels,
        classes=("a", "b", "c"),
        groups=groups,
        digests=tuple(map(str, digests)),
        seen_digests=frozenset(map(str, trained)),
    )


@settings(deadline=None, max_examples=150)
@given(data=st.data(), n_way=st.integers(2, 6), seed=st.integers(0, 99), resampled=st.booleans())
def test_every_question_has_one_right_choice_and_neither_copies_nor_trained_images(
    make_view, data, n_way, seed, resampled
):
    view = data.draw(views(make_view))
    items, rng = exam_items(view, 1000), np.random.default_rng(seed)
    if what_is_missing(view.classes, items, n_way):
        assert exam(view, n_way=n_way).value is None
        return
    weights = resamples_of(items, 1, rng, n_way=n_way)[0] if resampled else 1
    pool = Pool.of(items, np.repeat(np.arange(len(items)), weights))
    questions = draw_questions(pool, n_way=n_way, n_questions=50, rng=rng)
    asked_labels = []
    for query, choices in zip(items.rows[questions.queries], items.rows[questions.choices], strict=True):
        labels = [view.labels[row] for row in choices]
        asked_labels.append(view.labels[query])
        assert labels[0] == view.labels[query]
        assert labels.count(view.labels[query]) == 1
        assert len(labels) == n_way
        assert set(labels) <= set(view.classes)
        assert view.digests[query] not in {view.digests[row] for row in choices}
        assert not {view.digests[row] for row in [query, *choices]} & view.seen_digests
        assert view.groups[query] != view.groups[choices[0]]
        if not resampled:
            assert len(set(choices)) == n_way
    counts = [asked_labels.count(label) for label in view.classes]
    assert max(counts) - min(counts) <= 1


@settings(deadline=None, max_examples=100)
@given(totals=st.lists(st.integers(6, 40), min_size=1, max_size=20), k=st.integers(1, 6), seed=st.integers(0, 99))
def test_drawn_numbers_are_different_and_below_their_total(totals, k, seed):
    drawn = draw_distinct(np.array(totals), k, np.random.default_rng(seed)).T
    for numbers, total in zip(drawn, totals, strict=True):
        assert len(set(numbers.tolist())) == k
        assert 0 <= min(numbers) <= max(numbers) < total


def test_every_set_of_distractors_is_equally_likely():
    drawn = np.sort(draw_distinct(np.full(60_000, 5), 3, np.random.default_rng(0)), axis=0)
    _, counts = np.unique(drawn, axis=1, return_counts=True)
    assert len(counts) == comb(5, 3)
    assert np.abs(counts / 6000 - 1).max() < 0.06


def test_an_exam_that_cannot_be_held_says_all_that_is_missing(make_view):
    figure = exam(make_view(np.zeros(5), ["a", "a", "a", "b", "?"], classes=("a", "b", "c")), n_way=4)
    assert figure.value is None
    assert "class 'b' has usable test images of 1 images, 2 are needed" in figure.note
    assert "class 'c' has usable test images of 0 images, 2 are needed" in figure.note
    assert "class 'a' has 1 usable images of other classes beside it, not 3" in figure.note
    assert figure.chance == 1 / 4


def test_a_class_of_one_patient_cannot_be_asked_about(make_view):
    view = make_view(np.zeros(6), list("aaabbb"), groups=("p", "p", "p", "q", "r", "s"))
    assert "class 'a' has usable test images of 1 groups" in exam(view, n_way=2).note


def test_what_was_left_out_is_reported(make_view):
    view = blobs(make_view, n=30)
    digests = ("image-3", *view.digests[1:])
    figure = exam(replace(view, digests=digests, seen_digests=frozenset(["image-5"])), n_way=3)
    assert figure.details["left_out"] == {"seen": 1, "labelled_two_ways": 0, "copies": 1}
    assert figure.details["images"] == 28


def test_of_very_many_images_an_equal_quota_a_class_takes_part_and_the_rest_is_counted(make_view):
    view = make_view(np.zeros(110), ["a"] * 100 + ["b"] * 10)
    items = exam_items(view, 40)
    assert np.bincount(items.codes).tolist() == [20, 10]
    assert items.left_out["over_quota"] == 80
    assert exam(view, n_way=3, images=40).details["images"] == 30


# ---------------------------------------------------------------------------------------------- the marking


def test_marks_by_hand():
    distances = np.array([[0, 1, 2, 1, 3]] * 5, dtype=np.float32)
    queries = np.zeros(4, dtype=np.int64)
    choices = np.array([[1, 2, 4], [1, 3, 2], [2, 1, 4], [4, 4, 4]])
    assert marks(distances, Questions(queries, choices)).tolist() == [1, 0.5, 0, 1 / 3]


def test_classes_far_apart_score_1_and_the_interval_keeps_its_width(make_view):
    figure = exam(make_view([0, 1, 2, 100, 101, 102], list("aaabbb")), n_way=4, questions=100)
    assert (figure.value, figure.high, figure.n) == (1.0, 1.0, 6)
    assert figure.low == pytest.approx(6 / (6 + 1.959964**2), abs=1e-6)


@pytest.mark.parametrize("n_way", [2, 5, 20])
@pytest.mark.parametrize("order", [0, 1, 2])
def test_one_embedding_for_everything_scores_chance_in_any_order_of_items(make_view, shuffled, n_way, order):
    view = blobs(make_view)
    same = replace(view, embeddings=np.full((60, 7), 0.1, dtype=np.float32))
    assert exam(shuffled(same, order), n_way=n_way).value == pytest.approx(1 / n_way, abs=1e-12)


@pytest.mark.parametrize("n_way", [2, 5, 12])
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("grouped", [False, True])
def test_the_score_is_the_mean_of_all_questions_that_could_be_asked(make_view, n_way, ties, grouped):
    view = blobs(make_view, n=30, seed=3)
    if ties:
        view = replace(view, embeddings=np.round(view.embeddings))
    if grouped:
        view = replace(view, groups=tuple(f"patient-{i // 6}" for i in range(30)))
    figure = exam(view, n_way=n_way, questions=40_000, resamples=20)
    assert figure.value == pytest.approx(expected_score(view, n_way), abs=4 * 0.5 / 200)


# ------------------------------------------------------------------------------------------- what it depends on


def test_the_order_of_items_changes_nothing(make_view, shuffled):
    view = blobs(make_view)
    assert exam(shuffled(view, 1), n_way=5) == exam(view, n_way=5)


def test_other_names_and_another_order_of_the_classes_change_no_more_than_chance(make_view):
    view = blobs(make_view, n=90)
    renamed = replace(view, labels=tuple({"a": "z", "b": "y", "c": "x"}[label] for label in view.labels))
    renamed = replace(renamed, classes=("x", "z", "y"))
    first, second = (exam(v, n_way=5, questions=20_000, resamples=20) for v in (view, renamed))
    assert first.value == pytest.approx(second.value, abs=0.02)


def test_two_views_of_one_seed_get_the_same_questions_and_the_same_resamples(make_view, monkeypatch):
    asked = []

    def remember(distances, questions):
        asked.append(questions)
        return marks(distances, questions)

    monkeypatch.setattr(n_way_exam, "marks", remember)
    model = blobs(make_view)
    exam(model, n_way=5, resamples=20)
    exam(replace(model, name="pixels", embeddings=np.random.default_rng(9).normal(size=(60, 3))), n_way=5, resamples=20)
    assert len(asked) == 2 * 21
    for one, other in zip(asked[:21], asked[21:], strict=True):
        assert (one.queries == other.queries).all()
        assert (one.choices == other.choices).all()


def test_another_seed_asks_other_questions_and_more_resamples_ask_the_same(make_view):
    view = blobs(make_view)
    assert exam(view, n_way=5, resamples=20).value == exam(view, n_way=5, resamples=40).value
    assert exam(view, n_way=5).value != exam(replace(view, seed=1), n_way=5).value


def test_each_image_counts_as_drawn_and_groups_are_drawn_whole(make_view):
    groups = tuple(f"patient-{i // 6}" for i in range(60))
    figure = exam(blobs(make_view, groups=groups), n_way=5)
    assert figure.resampled == "groups"
    assert figure.n == 10
    assert "about 10 groups" in figure.note


def test_resamples_of_uneven_groups_can_always_ask(make_view):
    groups = tuple(["big-a"] * 8 + ["a1", "a2"] + ["big-b"] * 8 + ["b1", "b2"])
    items = exam_items(make_view(np.zeros(20), ["a"] * 10 + ["b"] * 10, groups=groups), 100)
    weights = resamples_of(items, 300, np.random.default_rng(0), n_way=10)
    for own in (items.codes == 0, items.codes == 1):
        assert (weights[:, own].sum(axis=1) >= 9).all()
        assert all(len(np.unique(items.units[own][row > 0])) >= 2 for row in weights[:, own])


# ------------------------------------------------------------------------------------------------ the interval


def draw_population(rng, n):
    """(n,) codes, (n, 2) embeddings of two overlapping classes."""
    codes = np.arange(n) % 2
    return codes, rng.normal(size=(n, 2)) + 1.6 * codes[:, None]


def true_accuracy(n_way, n=100_000):
    """Fresh images in every question."""
    rng = np.random.default_rng(99)
    shift = 1.6 * np.array([0] * 2 + [1] * (n_way - 1))[:, None]
    points = rng.normal(size=(n, n_way + 1, 2)) + shift
    distances = np.abs(points[:, 1:] - points[:, :1]).sum(axis=2)
    return float((distances.argmin(axis=1) == 0).mean())


def test_the_interval_holds_the_true_accuracy_where_one_over_questions_does_not(make_view):
    truth, simulations, honest, naive = true_accuracy(5), 150, 0, 0
    for seed in range(simulations):
        codes, embeddings = draw_population(np.random.default_rng(seed), 40)
        figure = exam(make_view(embeddings, ["ab"[code] for code in codes], seed=seed), n_way=5, resamples=100)
        honest += figure.low <= truth <= figure.high
        naive += abs(figure.value - truth) <= 1.96 * np.sqrt(figure.value * (1 - figure.value) / 1000)
    print(f"coverage of {truth:.3f}: images resampled {honest / simulations:.2f}, questions {naive / simulations:.2f}")
    assert honest / simulations >= 0.88
    assert naive / simulations <= 0.70


def test_a_quota_leaves_every_class_images_of_two_groups():
    codes, units = np.repeat(np.arange(50), 6), np.repeat(np.arange(100), 3)
    drawn = at_most(Askable(np.arange(300), codes, units, {}), 100, np.random.default_rng(0))
    assert len(drawn) == 100
    assert len(np.unique(drawn.units)) == 100
    assert drawn.left_out == {"over_quota": 200}
