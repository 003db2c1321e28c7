"""Retrieval: pytorch-metric-learning's figures without ties, expectations with them, and an interval that holds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

from nearkin.components.evaluators.askable import labelled
from nearkin.components.evaluators.options import RetrievalOptions
from nearkin.components.evaluators.pairwise import Pairwise
from nearkin.components.evaluators.ranking import Gallery, all_tied, rank
from nearkin.components.evaluators.removal import changes
from nearkin.components.evaluators.retrieval import Asked, Retrieval, query_scores
from nearkin.index.distances import distances

METRICS = ("l1", "l2", "cosine")


def measure(view, resamples=20, **options):
    options = RetrievalOptions(resamples=resamples, **options)
    return {figure.name: figure for figure in Retrieval(options).evaluate(view)}


def values(view, **options):
    return {name: figure.value for name, figure in measure(view, **options).items()}


def clouds(rng, n, n_classes, dim=6, spread=1.0):
    codes = np.arange(n) % n_classes
    vectors = rng.normal(size=(n, dim)) + spread * rng.normal(size=(n_classes, dim))[codes]
    return vectors.astype(np.float32), [f"class-{code}" for code in codes]


@pytest.fixture
def view(make_view, fake_index):
    vectors, labels = clouds(np.random.default_rng(0), 90, 7)
    return make_view(vectors, labels, index=fake_index(metric="l2"))


@pytest.mark.parametrize("n_classes", [2, 7, 30])
@pytest.mark.parametrize("seed", range(3))
def test_without_ties_the_figures_are_pytorch_metric_learnings(make_view, fake_index, n_classes, seed):
    vectors, labels = clouds(np.random.default_rng(seed), 200, n_classes)
    found = values(make_view(vectors, labels, index=fake_index(metric="l2")))
    codes = np.unique(labels, return_inverse=True)[1]
    include = ("precision_at_1", "r_precision", "mean_average_precision_at_r")
    reference = AccuracyCalculator(include=include).get_accuracy(vectors, codes)
    assert found["precision_at_1"] == pytest.approx(reference["precision_at_1"], abs=1e-6)
    assert found["r_precision"] == pytest.approx(reference["r_precision"], abs=1e-6)
    assert found["map_at_r"] == pytest.approx(reference["mean_average_precision_at_r"], abs=1e-6)


@pytest.mark.parametrize("metric", METRICS)
def test_recall_at_k_is_numpys_in_every_metric(make_view, fake_index, metric):
    vectors, labels = clouds(np.random.default_rng(1), 60, 5)
    apart = distances(vectors, vectors, metric).astype(np.float64)
    np.fill_diagonal(apart, np.inf)
    near = np.array(labels)[np.argsort(apart, axis=1)[:, :3]]
    reference = (near == np.array(labels)[:, None]).any(axis=1).mean()
    found = values(make_view(vectors, labels, index=fake_index(metric=metric)), recall_at=(1, 3))
    assert found["recall_at_3"] == pytest.approx(reference)
    assert found["recall_at_1"] == found["precision_at_1"]


def test_images_of_a_querys_own_group_are_no_answers_to_it(make_view, fake_index):
    view = make_view([0, 0.1, 5, 9, 9.2, 9.3], list("aaabbb"), index=fake_index(), groups=tuple("ppqrst"))
    found = values(view, recall_at=(1,))
    # The two at 0 are one patient's: their nearest other of class a is at 5, nearer than any b.
    assert found["precision_at_1"] == pytest.approx((1 + 1 + 0 + 3) / 6)
    assert measure(view, recall_at=(1,))["precision_at_1"].resampled == "groups"


def in_an_order(vectors, labels, ks, rng):
    """The scores where ties have one random order, by the definitions, slowly."""
    n, found = len(labels), []
    for query in range(n):
        others = rng.permutation([other for other in range(n) if other != query])
        near = sorted(others, key=lambda other: np.abs(vectors[query] - vectors[other]).sum())
        hits = np.array([labels[other] == labels[query] for other in near], dtype=float)
        relevant = int(hits.sum())
        precision = np.cumsum(hits) / np.arange(1, n)
        found.append(
            [hits[0], hits[:relevant].mean(), (precision * hits)[:relevant].mean(), *(hits[:k].max() for k in ks)]
        )
    return np.mean(found, axis=0)


def test_ties_count_as_their_mean_over_random_orders(make_view, fake_index):
    rng = np.random.default_rng(0)
    vectors, labels = rng.integers(0, 3, (14, 1)).astype(np.float32), list("aaaaabbbbbcccc")
    found = values(make_view(vectors, labels, index=fake_index()), recall_at=(2, 4))
    orders = np.array([in_an_order(vectors, labels, (2, 4), rng) for _ in range(1500)])
    assert list(found.values()) == pytest.approx(orders.mean(axis=0), abs=4 * orders.std(axis=0).max() / 1500**0.5)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000))
def test_items_in_another_order_have_the_same_figures(make_view, fake_index, shuffled, seed):
    rng = np.random.default_rng(seed)
    vectors, labels = rng.integers(0, 3, (20, 2)), [*"aabbbbcccc", *rng.choice(list("abcd"), 10)]
    view = make_view(vectors, labels, index=fake_index(metric="l2"), groups=tuple(map(str, rng.integers(0, 12, 20))))
    assert measure(shuffled(view, seed)) == measure(view)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 6), st.integers(1, 9), st.integers(1, 6))
def test_where_all_is_tied_the_scores_are_those_of_chance(relevant, others, k):
    n = relevant + others
    ks = [min(k, n)]
    found = query_scores(rank(np.zeros((1, n), np.float32), np.arange(n)[None] < relevant, max(relevant, *ks) + 1), ks)
    chance = all_tied(Gallery(np.array([relevant]), np.array([n])), ks)
    for name, score in found.items():
        assert score == pytest.approx(chance[name], abs=1e-12), name


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.integers(1, 6))
def test_what_a_neighbour_is_worth_is_what_its_removal_changes(seed, k):
    rng = np.random.default_rng(seed)
    n, relevant = 12, np.zeros((1, 12), dtype=bool)
    relevant[0, rng.permutation(n)[: rng.integers(1, 6)]] = True
    apart, size = rng.permutation(n).astype(np.float32)[None], int(relevant.sum())
    ranking = rank(apart, relevant, n)
    worth, before = changes(ranking, [k]), query_scores(ranking, [k])
    for place in range(n):
        gone = ranking.neighbours[0, place]
        kept = np.arange(n) != gone
        without = rank(apart[:, kept], relevant[:, kept], n)
        # R stays, as in a resample of a class.
        without = replace(without, gallery=Gallery(np.array([size]), without.gallery.size))
        for name, after in query_scores(without, [k]).items():
            assert worth[name][0, place] == pytest.approx(float((after - before[name])[0]), abs=1e-12), (name, place)


def test_the_interval_covers_the_mean_of_other_draws(make_view, fake_index, count):
    draws = count("draws of a test set behind the coverage of retrieval's interval", 150, 1000)
    rng = np.random.default_rng(0)
    centres = 1.2 * rng.normal(size=(4, 3))

    def draw():
        codes = np.arange(60) % 4
        vectors = centres[codes] + rng.normal(size=(60, 3))
        return measure(make_view(vectors, [str(code) for code in codes], index=fake_index(metric="l2")), resamples=200)

    figures = [draw() for _ in range(draws)]
    for name in ("precision_at_1", "map_at_r", "r_precision"):
        truth = np.mean([figure[name].value for figure in figures])
        covered = np.mean([figure[name].low <= truth <= figure[name].high for figure in figures])
        assert covered >= 0.92, name


def test_a_query_alone_in_its_class_is_left_out_and_counted(make_view, fake_index):
    figure = measure(make_view([0, 1, 5, 6, 9], list("aabbc"), index=fake_index()), recall_at=(1,))["precision_at_1"]
    assert (figure.value, figure.n, figure.details["left_out"]["nothing_to_find"]) == (1.0, 4, 1)


def test_what_cannot_be_measured_says_why(make_view, fake_index):
    few = measure(make_view([0, 1], list("ab"), index=fake_index()))
    assert all(figure.value is None and "two classes" in figure.note for figure in few.values())
    deep = measure(make_view([0, 1, 5, 6], list("aabb"), index=fake_index()), recall_at=(3, 4))
    assert deep["recall_at_3"].value == 1
    assert deep["recall_at_4"].note == "An image has 3 others to find, not 4."
    none = measure(make_view(np.zeros((0, 2)), [], classes=("a", "b"), index=fake_index()))
    assert all(figure.value is None for figure in none.values())


def test_known_and_unknown_classes_can_be_asked_apart(make_view, fake_index):
    view = make_view([0, 1, 0.4, 1.4, 50, 51], list("aabbuu"), classes=("a", "b"), index=fake_index())
    assert len(labelled(view, "all")) == 6
    assert measure(view, classes="known")["precision_at_1"].n == 4
    assert measure(view)["precision_at_1"].n == 6
    assert measure(view, classes="unknown")["precision_at_1"].value is None


def test_perfect_retrieval_still_has_an_interval_of_some_width(make_view, fake_index):
    figures = measure(make_view([0] * 10 + [9] * 10, list("a" * 10 + "b" * 10), index=fake_index()))
    assert figures["map_at_r"].value == 1
    assert figures["map_at_r"].low == pytest.approx(20 / (20 + 1.959964**2), abs=1e-6)


@pytest.mark.parametrize("metric", METRICS)
@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000))
def test_distances_are_the_indexs_and_equal_where_embeddings_are(metric, seed):
    rng = np.random.default_rng(seed)
    vectors = (10 ** rng.uniform(-3, 3) * (rng.normal(size=(20, 5)) + rng.normal() * 50)).astype(np.float32)
    vectors[[3, 7]], vectors[11] = 0, vectors[12]
    found, exact = Pairwise(vectors, metric).all(), distances(vectors, vectors, metric)
    assert found == pytest.approx(exact, rel=3e-6, abs=3e-6 * float(np.median(exact)))
    assert (found[:, 11] == found[:, 12]).all()
    assert found[11, 12] == found[12, 11] == 0


def test_every_item_asks_the_same_whatever_block_it_is_in(view, monkeypatch):
    whole = values(view)
    monkeypatch.setattr("nearkin.components.evaluators.pairwise.HELD", 200)
    assert values(view) == pytest.approx(whole, abs=1e-12)
    assert len(Asked.of(labelled(view, "all")).rows) == 90
