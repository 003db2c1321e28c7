"""Ranking figures of known and unknown images: scikit-learn's where it has them, definitions where not."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import auc, average_precision_score, roc_auc_score, roc_curve

from nearkin.components.evaluators.sweep import Sweep


def draw(seed, n_scores=6):
    """(n,) scores with ties, whether unknown, whether right; (8, n) weights that keep both kinds."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 25))
    is_unknown = np.r_[True, False, rng.random(n - 2) < 0.5]
    weights = rng.integers(0, 4, (8, n))
    weights[:, :2] += 1
    return rng.integers(0, n_scores, n) / 7, is_unknown, rng.random(n) < 0.6, weights


seeds = st.integers(0, 100_000)


@settings(deadline=None, max_examples=40)
@given(seeds)
def test_auroc_average_precision_and_fpr_are_scikit_learns_in_every_resample(seed):
    scores, is_unknown, hits, weights = draw(seed)
    sweep = Sweep.of(scores, is_unknown, hits, weights)
    given_weights = [{"sample_weight": row} for row in weights]
    reference = [roc_auc_score(is_unknown, scores, **w) for w in given_weights]
    assert sweep.auroc() == pytest.approx(reference, abs=1e-12)
    reference = [average_precision_score(is_unknown, scores, **w) for w in given_weights]
    assert sweep.aupr_unknown() == pytest.approx(reference, abs=1e-12)
    reference = [average_precision_score(~is_unknown, -scores, **w) for w in given_weights]
    assert sweep.aupr_known() == pytest.approx(reference, abs=1e-12)
    for row, found in zip(weights, sweep.fpr_at_tpr(0.95), strict=True):
        false, true, _ = roc_curve(~is_unknown, -scores, sample_weight=row, drop_intermediate=False)
        assert found == pytest.approx(false[true >= 0.95 - 1e-12][0], abs=1e-12)


@settings(deadline=None, max_examples=40)
@given(seeds)
def test_oscr_is_the_area_under_its_curve_point_by_point(seed):
    scores, is_unknown, hits, weights = draw(seed)
    for row, found in zip(weights, Sweep.of(scores, is_unknown, hits, weights).oscr(), strict=True):
        points = [(0.0, 0.0)]
        for cut in sorted(set(scores)):
            right = row[(scores <= cut) & hits & ~is_unknown].sum() / row[~is_unknown].sum()
            points.append((row[(scores <= cut) & is_unknown].sum() / row[is_unknown].sum(), right))
        assert found == pytest.approx(auc(*np.transpose(points)), abs=1e-12)


def test_without_unknowns_between_them_oscr_of_perfect_separation_is_the_accuracy():
    scores, is_unknown = np.arange(10.0), np.arange(10) >= 6
    hits = np.array([1, 1, 0, 1, 0, 1, 0, 0, 0, 0], dtype=bool)
    assert Sweep.of(scores, is_unknown, hits, np.ones((1, 10), int)).oscr() == pytest.approx([4 / 6])


def test_images_that_no_class_can_score_are_the_strangest_and_stand_together():
    scores, is_unknown = np.array([0.1, np.inf, 0.2, np.inf]), np.array([False, True, False, False])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sweep = Sweep.of(scores, is_unknown, ~is_unknown, np.ones((1, 4), int))
    assert sweep.auroc() == pytest.approx([(1 + 1 + 0.5) / 3])


@settings(deadline=None, max_examples=25)
@given(seeds)
def test_aurc_is_the_mean_risk_over_coverages_in_expectation_over_orders_of_ties(seed):
    scores, is_unknown, hits, weights = draw(seed, n_scores=30)
    rng = np.random.default_rng(seed)
    wrong = is_unknown | ~hits
    for row, found in zip(weights[:2], Sweep.of(scores, is_unknown, hits, weights).aurc(), strict=False):
        drawn = np.repeat(np.arange(len(row)), row)
        risks = []
        for _ in range(300):
            shuffled = rng.permutation(drawn)
            order = shuffled[np.argsort(scores[shuffled], kind="stable")]
            risks.append((np.cumsum(wrong[order]) / np.arange(1, len(order) + 1)).mean())
        assert found == pytest.approx(np.mean(risks), abs=5 * np.std(risks) / 300**0.5 + 1e-12)
