"""The built-in outlier scores are what their papers say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.covariance import LedoitWolf
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors

from nearkin.contracts import Build
from nearkin.errors import IndexCallError
from nearkin.index.scores import score_choice

RNG = np.random.default_rng(0)
VECTORS = RNG.normal(size=(40, 5)).astype(np.float32) * [1, 2, 3, 0.5, 1]
CODES = np.repeat(np.arange(2), 20)
VECTORS = (VECTORS + 4 * CODES[:, None]).astype(np.float32)
NEIGHBOURS = ({"type": "knn", "k": 3}, "scaled_knn")
QUERIES = RNG.normal(size=(8, 5)).astype(np.float32)


def scores(said: Any) -> Any:
    return score_choice(said).make(Build(seed=0, embedding_dim=5, metric="l2")).fit(VECTORS, CODES)(QUERIES)


def squared(centre: Any, precision: Any) -> Any:
    apart = QUERIES.astype(np.float64) - centre
    return np.einsum("qd,de,qe->q", apart, precision, apart)


def centred(codes: Any) -> Any:
    vectors = VECTORS.astype(np.float64)
    return vectors - np.stack([vectors[codes == code].mean(axis=0) for code in np.unique(codes)])[codes]


def test_mahalanobis_is_scikit_learns_over_residuals_of_all_classes() -> None:
    precision = LedoitWolf(assume_centered=True).fit(centred(CODES)).precision_
    expected = [np.sqrt(squared(VECTORS[code == CODES].mean(axis=0), precision)) for code in (0, 1)]
    np.testing.assert_allclose(scores("mahalanobis"), np.stack(expected, axis=1), rtol=1e-4)


def test_mahalanobis_of_each_class_is_scikit_learns_fitted_a_class() -> None:
    fitted = [LedoitWolf().fit(VECTORS[code == CODES].astype(np.float64)) for code in (0, 1)]
    expected = np.stack([np.sqrt(one.mahalanobis(QUERIES.astype(np.float64))) for one in fitted], axis=1)
    np.testing.assert_allclose(scores({"type": "mahalanobis", "covariance": "class"}), expected, rtol=1e-4)


def test_relative_mahalanobis_is_the_class_s_less_the_background_s() -> None:
    within = LedoitWolf(assume_centered=True).fit(centred(CODES)).precision_
    background = LedoitWolf().fit(VECTORS.astype(np.float64)).precision_
    everywhere = squared(VECTORS.mean(axis=0), background)
    expected = [squared(VECTORS[code == CODES].mean(axis=0), within) - everywhere for code in (0, 1)]
    np.testing.assert_allclose(scores("relative_mahalanobis"), np.stack(expected, axis=1), rtol=1e-3, atol=1e-3)


def test_scaled_knn_ranks_a_class_as_scikit_learns_distances_do_and_is_one_amid_its_references() -> None:
    for code, own in enumerate(VECTORS[code == CODES] for code in (0, 1)):
        neighbours = NearestNeighbors(n_neighbors=3).fit(own)
        scale = neighbours.kneighbors()[0].mean()
        expected = neighbours.kneighbors(QUERIES)[0].mean(axis=1) / scale
        np.testing.assert_allclose(scores("scaled_knn")[:, code], expected, rtol=1e-4)


def test_scaled_knn_makes_no_image_strange_for_lying_in_a_wide_class() -> None:
    rng = np.random.default_rng(2)
    narrow, wide = rng.normal(size=(60, 4)), 20 * rng.normal(size=(60, 4)) + 500
    vectors, codes = np.concatenate([narrow[:40], wide[:40]]).astype(np.float32), np.repeat(np.arange(2), 40)
    build = Build(seed=0, embedding_dim=4, metric="l2")
    beside_the_narrow_one = np.array([[0, 0, 0, 9]], dtype=np.float32)
    asked = np.concatenate([wide[40:].astype(np.float32), beside_the_narrow_one])
    plain, scaled = (score_choice(name).make(build).fit(vectors, codes)(asked).min(axis=1) for name in NEIGHBOURS)
    assert np.median(plain[:-1]) > plain[-1]
    assert (scaled[:-1] < scaled[-1]).all()


def test_lof_is_scikit_learns_a_class() -> None:
    factors = [LocalOutlierFactor(n_neighbors=10, novelty=True).fit(VECTORS[code == CODES]) for code in (0, 1)]
    expected = np.stack([-one.score_samples(QUERIES) for one in factors], axis=1)
    np.testing.assert_allclose(scores("lof"), expected, rtol=1e-4)


def test_the_background_makes_a_direction_that_tells_no_class_apart_count_less() -> None:
    vectors = np.random.default_rng(1).normal(size=(400, 2)).astype(np.float32)
    vectors[200:, 0] += 8
    codes = np.repeat(np.arange(2), 200)
    build = Build(seed=0, embedding_dim=2, metric="l2")
    along, across = np.array([[0, 5]], dtype=np.float32), np.array([[-5, 0]], dtype=np.float32)
    plain, relative = (
        score_choice(name).make(build).fit(vectors, codes) for name in ("mahalanobis", "relative_mahalanobis")
    )
    assert abs(plain(along)[0, 0] - plain(across)[0, 0]) < 0.5
    assert relative(along)[0, 0] < relative(across)[0, 0] - 5


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ("kn", "there is no such built-in score. Did you mean 'knn'"),
        ({"k": 3}, "there is no such built-in score"),
        ({"type": "knn", "k": 0}, "k: Input should be greater than or equal to 1"),
        ({"type": "prototype", "k": 2}, "k: Extra inputs are not permitted"),
        ({"type": "mahalanobis", "covariance": "full"}, "covariance"),
    ],
)
def test_a_score_that_there_is_not_is_refused_with_the_nearest_name(said: Any, problem: str) -> None:
    with pytest.raises(IndexCallError, match=problem):
        score_choice(said)
