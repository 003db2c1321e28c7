"""Claims about scikit-learn's face: it passes scikit-learn's own checks, and says what the index says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid, NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

from nearkin.errors import IndexCallError
from nearkin.index import Index
from nearkin.index.space import Space
from nearkin.sklearn import IndexClassifier

ESTIMATORS = [
    IndexClassifier(),
    IndexClassifier(metric="l1", outlier_score={"type": "knn", "k": 2}),
    IndexClassifier(class_rule="prototype", outlier_score="prototype"),
]
NOT_FOR_US = {
    "check_array_api_input": "about arrays of other libraries, and skips itself unless SciPy was told of them"
}


def own_checks() -> Iterator[Any]:
    for estimator in ESTIMATORS:
        for made, check in estimator_checks_generator(estimator):
            if check.func.__name__ not in NOT_FOR_US:
                yield pytest.param(made, check, id=f"{estimator}-{check.func.__name__}")


@pytest.mark.parametrize(("estimator", "check"), list(own_checks()))
def test_it_passes_scikit_learns_own_checks(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.fixture(scope="module")
def digits() -> Any:
    """No two distances are equal."""
    found = load_digits()
    jitter = np.random.default_rng(0).normal(scale=1e-2, size=found.data.shape)
    return (found.data + jitter).astype(np.float32), found.target


@pytest.mark.parametrize("metric", ["l1", "l2", "cosine"])
def test_it_predicts_as_scikit_learns_nearest_neighbour_does(digits: Any, metric: Any) -> None:
    x, y = digits
    ours = IndexClassifier(metric=metric).fit(x[:200], y[:200])
    theirs = KNeighborsClassifier(1, metric=metric, algorithm="brute").fit(x[:200].astype(np.float64), y[:200])
    assert (ours.predict(x[200:400]) == theirs.predict(x[200:400].astype(np.float64))).all()
    assert ours.score(x[200:400], y[200:400]) > 0.85


def test_it_predicts_as_scikit_learns_nearest_centroid_does(digits: Any) -> None:
    x, y = digits
    ours = IndexClassifier(class_rule="prototype").fit(x[:200], y[:200])
    theirs = NearestCentroid().fit(x[:200].astype(np.float64), y[:200])
    assert (ours.predict(x[200:400]) == theirs.predict(x[200:400].astype(np.float64))).all()


def test_neighbours_are_those_of_scikit_learn(digits: Any) -> None:
    x, y = digits
    ours = IndexClassifier().fit(x[:100], y[:100])
    theirs = NearestNeighbors(algorithm="brute").fit(x[:100].astype(np.float64))
    for queries, n in ((x[100:120], 7), (None, 4)):
        distances, positions = ours.kneighbors(queries, n)
        expected, rows = theirs.kneighbors(None if queries is None else queries.astype(np.float64), n)
        np.testing.assert_allclose(distances, expected, rtol=1e-6)
        apart = np.diff(expected, axis=1).min(axis=1) > 0
        assert (positions[apart] == rows[apart]).all()
    assert (ours.kneighbors(x[:3], 2, return_distance=False)[:, 0] == [0, 1, 2]).all()


def test_the_neighbours_of_copies_never_include_the_image_itself() -> None:
    copies = np.ones((6, 2), np.float32)
    positions = IndexClassifier().fit(copies, list("aabbcc")).kneighbors(None, 2, return_distance=False)
    assert positions.shape == (6, 2)
    assert not (positions == np.arange(6)[:, None]).any()
    assert (positions >= 0).all()


@pytest.mark.parametrize("n_neighbors", [0, -1, 101])
def test_more_neighbours_than_there_are_is_an_error_and_never_minus_one(digits: Any, n_neighbors: int) -> None:
    x, y = digits
    with pytest.raises(ValueError, match="1 to 100"):
        IndexClassifier().fit(x[:100], y[:100]).kneighbors(x[:2], n_neighbors)


def test_statuses_p_values_and_scores_are_the_answers(digits: Any) -> None:
    x, y = digits
    known = y < 5
    known_x, known_y = x[known], y[known]
    fitted = IndexClassifier(alpha=0.2).fit(known_x[:100], known_y[:100])
    assert set(fitted.statuses(x[:5])) == {None}
    assert np.isnan(fitted.p_values(x[:5])).all()
    few = known_y[100:300] != 4
    fitted.calibrate(known_x[100:300][few], known_y[100:300][few])
    queries = x[-200:]
    answers = fitted.index_.query(queries)
    assert fitted.statuses(queries).tolist() == [answer.status for answer in answers]
    assert {"known", "unknown"} <= set(fitted.statuses(queries))
    p = fitted.p_values(queries)
    assert p[:, 3].tolist() == [answer.p_values["3"] for answer in answers]
    assert np.isnan(p[:, 4]).all()
    scores = fitted.score_samples(queries)
    assert scores.tolist() == [-min(answer.distances.values()) for answer in answers]
    assert scores[y[-200:] < 5].mean() > scores[y[-200:] >= 5].mean()


def test_calibrating_on_what_was_fitted_is_refused(digits: Any) -> None:
    x, y = digits
    with pytest.raises(IndexCallError, match="have the embedding of a reference"):
        IndexClassifier().fit(x[:50], y[:50]).calibrate(x[:50], y[:50])


def test_groups_and_labels_may_be_numbers_of_any_type(digits: Any) -> None:
    x, y = digits
    fitted = IndexClassifier(alpha=0.2).fit(x[:60], y[:60], groups=np.arange(60))
    assert fitted.index_.references.groups[:2] == ("0", "1")
    fitted.calibrate(x[60:400], y[60:400].astype(float), groups=list(range(60, 400)))
    assert not np.isnan(fitted.p_values(x[400:410])).any()


def test_an_index_that_learned_classes_since_is_refused_by_name_and_taken_anew(digits: Any) -> None:
    x, y = digits
    fitted = IndexClassifier().fit(x[:60], y[:60])
    fitted.index_.add(x[60:61], ["new"])
    for asked in (fitted.predict, fitted.statuses, fitted.p_values, fitted.kneighbors):
        with pytest.raises(IndexCallError, match="has classes since that it was not made with: new"):
            asked(x[:2])
    assert "new" in IndexClassifier.of(fitted.index_).predict(x[60:61])


def test_an_index_that_embeddings_alone_cannot_ask_is_refused(digits: Any) -> None:
    index = Index(metric="l2", class_rule="nearest", dim=64, space=Space("elsewhere", (3,)))
    with pytest.raises(IndexCallError, match="its outlier score has a space of its own"):
        IndexClassifier.of(index)


def test_classes_of_numbers_keep_their_order_and_type(digits: Any) -> None:
    x, _ = digits
    y = np.array([10, 9, 200] * 10)
    fitted = IndexClassifier().fit(x[:30], y)
    assert fitted.classes_.tolist() == [9, 10, 200]
    assert fitted.predict(x[:3]).tolist() == [10, 9, 200]
    assert fitted.index_.labels == ("10", "200", "9")


def test_an_index_that_is_there_is_taken_as_it_is(digits: Any) -> None:
    x, y = digits
    index = Index(metric="l1", class_rule="nearest", dim=64)
    index.add(x[:60], [f"digit {label}" for label in y[:60]], ids=range(500, 560))
    classifier = IndexClassifier.of(index)
    assert classifier.predict(x[:2]).tolist() == [f"digit {label}" for label in y[:2]]
    assert classifier.kneighbors(x[:2], 1, return_distance=False).tolist() == [[0], [1]]
    said = {"metric": "l1", "class_rule": "nearest", "alpha": 0.1, "outlier_score": index.settings.score}
    assert classifier.get_params() == said


def test_it_goes_through_pipelines_and_cross_validation(digits: Any) -> None:
    x, y = digits
    scores = cross_val_score(make_pipeline(StandardScaler(), IndexClassifier()), x[:300], y[:300], cv=3)
    assert scores.mean() > 0.8


class NAType:
    """As pandas' NA is: neither equal to itself nor not."""

    def __repr__(self) -> str:
        return "NA"

    def __ne__(self, _: object) -> Any:
        return self

    def __bool__(self) -> bool:
        raise TypeError("boolean value of NA is ambiguous")


def test_a_group_is_the_same_as_integer_and_as_float(digits: Any) -> None:
    x, y = digits
    fitted = IndexClassifier().fit(x[:60], y[:60], groups=np.arange(60))
    with pytest.raises(IndexCallError, match="are of a group that references are of"):
        fitted.calibrate(x[60:62], y[60:62], groups=[7.0, float("nan")])


@pytest.mark.parametrize("missing", [None, float("nan"), np.float32("nan"), np.datetime64("NaT"), NAType()], ids=repr)
def test_an_item_without_a_group_is_a_group_of_its_own(missing: Any, digits: Any) -> None:
    x, y = digits
    fitted = IndexClassifier().fit(x[:60], y[:60], groups=[missing] * 60)
    assert set(fitted.index_.references.groups) == {""}
    fitted.calibrate(x[60:400], y[60:400], groups=[missing] * 340)
    counts = {str(label): int((y[60:400] == label).sum()) for label in np.unique(y[60:400])}
    assert dict(fitted.index_.promise.groups) == counts
