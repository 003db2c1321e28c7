"""Intervals: Wilson's, the bootstrap's, and the wider of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, t

from nearkin.components.evaluators.askable import Askable
from nearkin.components.evaluators.intervals import corrected, interval, measured, resample, share, wilson


def items(codes, units):
    codes = np.asarray(codes)
    return Askable(np.arange(len(codes)), codes, np.asarray(units), {})


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_wilson_is_scipys_wilson(data):
    n = data.draw(st.integers(1, 5000))
    successes = data.draw(st.integers(0, n))
    reference = binomtest(successes, n).proportion_ci(method="wilson")
    assert wilson(successes, n) == pytest.approx((reference.low, reference.high), abs=1e-12)


def test_wilson_of_nothing_says_nothing():
    assert wilson(0, 0) == (0.0, 1.0)


def test_all_right_still_has_an_interval_of_some_width():
    low, high = interval(1.0, np.ones(200), 66)
    assert (low, high) == pytest.approx(wilson(66, 66))
    assert low < 0.95


def test_the_bootstrap_stands_where_it_is_wider_than_wilson_and_stays_within_0_and_1():
    replicates = np.linspace(0.4, 1.4, 201)
    assert interval(0.9, replicates, 10_000) == pytest.approx((0.425, 1.0))


def test_replicates_are_moved_so_that_their_mean_is_the_estimate():
    many = items([0] * 10_000, range(10_000))
    figure = measured("x", 0.5, np.linspace(0.6, 0.8, 101), many)
    assert np.mean(figure.replicates) == pytest.approx(0.5)
    assert (figure.low, figure.high) == pytest.approx((0.405, 0.595), abs=1e-4)


def test_the_bootstrap_of_a_mean_is_as_wide_as_students_interval():
    values = np.random.default_rng(0).normal(0.5, 0.05, size=12)
    own = items([0] * 12, range(12))
    replicates = resample(own, 20_000, np.random.default_rng(1)) @ values / 12
    low, high = np.percentile(corrected(values.mean(), replicates, own), [2.5, 97.5])
    reference = t.interval(0.95, 11, values.mean(), values.std(ddof=1) / np.sqrt(12))
    assert (low, high) == pytest.approx(reference, rel=0.01)


@settings(deadline=None, max_examples=60)
@given(
    members=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 5)), min_size=1, max_size=20),
    seed=st.integers(0, 99),
)
def test_every_resample_has_as_many_units_of_each_stratum_as_there_are(members, seed):
    codes, units = np.array(members).T
    weights = resample(items(codes, units), 30, np.random.default_rng(seed))
    assert weights.shape == (30, len(members))
    names, first, unit_of = np.unique(units, return_index=True, return_inverse=True)
    by_unit = weights[:, first]
    assert (weights == by_unit[:, unit_of]).all(), "a unit is drawn whole, in every class that it is of"
    spans = np.array([len(set(codes[units == name])) > 1 for name in names])
    for code in np.unique(codes):
        own = ~spans & (codes[first] == code)
        assert (by_unit[:, own].sum(axis=1) == own.sum()).all()
        assert (weights[:, codes == code].sum(axis=1) > 0).all(), "no class is lost"
    assert (by_unit[:, spans].sum(axis=1) >= spans.sum()).all()


def test_a_class_of_shared_units_alone_keeps_as_many_different_ones_as_are_asked_for():
    codes, units = [0, 0, *[1] * 30], [0, 1, *range(30)]
    weights = resample(items(codes, units), 200, np.random.default_rng(0), distinct=2)
    assert (weights[:, :2] > 0).all(), "class 0 has two units, and needs both"


@pytest.mark.parametrize("n_classes", [1, 2, 5, 10])
def test_patients_in_every_class_are_resampled_as_patients(n_classes):
    # Each patient is right or wrong in all images: there is no more to know than one image of each would tell.
    n = 400
    codes, units = np.repeat(np.arange(n_classes), n), np.tile(np.arange(n), n_classes)
    right = np.random.default_rng(0).random(n) < 0.7
    own = items(codes, units)
    replicates = resample(own, 4_000, np.random.default_rng(1)) @ right[units] / len(units)
    spread = corrected(right.mean(), replicates, own).std()
    assert spread == pytest.approx(np.sqrt(right.mean() * (1 - right.mean()) / (n - 1)), rel=0.05)


@pytest.mark.parametrize("n_classes", [15, 19, 30, 100])
def test_twenty_drawers_of_any_number_of_classes_say_something(n_classes):
    codes, units = np.repeat(np.arange(n_classes), 20), np.tile(np.arange(20), n_classes)
    hits = np.random.default_rng(0).random(len(codes)) < 0.75
    own = items(codes, units)
    figure = share("x", hits, resample(own, 400, np.random.default_rng(1)), own)
    assert figure.high - figure.low < 0.45, "no wider than twenty independent drawers"


def test_resamples_of_too_few_different_units_are_drawn_again():
    weights = resample(items([0] * 4, [0, 0, 1, 1]), 200, np.random.default_rng(0), distinct=2)
    assert (weights == 1).all()


def test_groups_widen_the_interval_where_their_images_go_together():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 10)
    hits = np.repeat(rng.random(20) < 0.6, 10)
    by_group, by_image = items([0] * 200, groups), items([0] * 200, np.arange(200))
    wide, narrow = (share("x", hits, resample(own, 400, np.random.default_rng(1)), own) for own in (by_group, by_image))
    assert wide.value == narrow.value == hits.mean()
    assert (wide.n, wide.resampled, narrow.n, narrow.resampled) == (20, "groups", 200, "images")
    assert wide.high - wide.low > 2.5 * (narrow.high - narrow.low)
