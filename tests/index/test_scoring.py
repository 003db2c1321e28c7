"""Any outlier score stands behind the same promise; what it was calibrated with is remembered."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nearkin.contracts import Build, Component, FloatArray, IntArray, Options, Score, ScoreChoice
from nearkin.errors import DamagedError, IndexCallError, PluginError
from nearkin.index import Index, load, save
from nearkin.index.scores import BUILT_IN, score_choice
from nearkin.plugins import score_of
from nearkin.registry import Registries

Draw = Callable[..., Any]
FITTED = sorted(set(BUILT_IN) - {"knn"})
EVERY = [*FITTED, "knn", {"type": "knn", "k": 3}, {"type": "mahalanobis", "covariance": "class"}]


class Widest:
    """The largest difference in any dimension to the class's mean: a score as a plugin would write it."""

    fewest = 1
    nearest = None

    def fit(self, vectors: FloatArray, codes: IntArray) -> Any:
        means = np.stack([vectors[codes == code].mean(axis=0) for code in range(codes.max() + 1)])
        return lambda queries: np.abs(queries[:, None] - means).max(axis=2)


def choice(score: Score, name: str = "widest") -> ScoreChoice:
    return ScoreChoice(name, Options(), lambda options, build: score)


@pytest.mark.parametrize("score", [*EVERY, pytest.param(choice(Widest()), id="widest")], ids=str)
def test_the_p_values_of_every_score_are_ranks_among_the_calibration_scores(
    score: Any, make: Callable[..., Index], draw: Draw
) -> None:
    index = make(score=score)
    fitted = score_choice(score).make(Build(seed=0, embedding_dim=3, metric="l1"))
    scored = fitted.fit(index.references.vectors, index.references.codes)
    queries = np.concatenate([draw(label, 5, 30) for label in "abc"])
    for answer, own in zip(index.query(queries), scored(queries), strict=True):
        for code, label in enumerate("abc"):
            calibrated = scored(draw(label, 20, 100 + code))[:, code]
            assert answer.p_values[label] == (1 + np.sum(calibrated >= own[code])) / 21


@pytest.mark.parametrize("score", EVERY, ids=str)
def test_far_away_is_unknown_by_every_score(score: Any, make: Callable[..., Index]) -> None:
    # Near in no direction that tells a class from the others, which is what relative_mahalanobis asks of it.
    assert make(score=score).query(np.array([900, 900, 1], dtype=np.float32)).status == "unknown"


@pytest.mark.parametrize("score", FITTED)
def test_a_fitted_score_is_stale_for_all_classes_once_a_reference_came(
    score: str, make: Callable[..., Index], draw: Draw
) -> None:
    index = make(score=score)
    index.add(draw("a", 1, 50), ["a"])
    assert set(index.promise.uncalibrated.values()) == {
        "stale: references changed since calibration, or what may calibrate did"
    }
    assert set(index.promise.stale) == {"a", "b", "c"}
    assert index.query(draw("b", 1, 51)[0]).status is None
    assert index.recalibrate().promise.uncalibrated == {}


def test_a_class_with_fewer_references_than_a_score_needs_is_uncalibrated(draw: Draw) -> None:
    index = Index(metric="l2", class_rule="nearest", dim=3, score="mahalanobis")
    index.add(draw("a", 5, 0), ["a"] * 5)
    index.add(draw("b", 1, 1), ["b"])
    index.calibrate(np.concatenate([draw("a", 10, 2), draw("b", 10, 3)]), ["a"] * 10 + ["b"] * 10)
    assert index.promise.uncalibrated == {"b": "fewer references than the score needs: 1 of 2"}
    assert index.query(draw("b", 1, 4)[0]).status is None


@pytest.mark.parametrize("score", FITTED)
def test_a_filter_leaves_the_p_values_of_whole_classes_as_they_are(
    score: str, make: Callable[..., Index], draw: Draw
) -> None:
    index, queries = make(score=score), draw("b", 4, 60)
    part = index.query(queries, where={"label": ["b", "c"]})
    for narrowed, whole in zip(part, index.query(queries), strict=True):
        assert narrowed.p_values == {label: whole.p_values[label] for label in "bc"}


@pytest.mark.parametrize("score", EVERY, ids=str)
def test_an_index_opens_with_the_score_that_it_was_saved_with(
    score: Any, make: Callable[..., Index], draw: Draw, tmp_path: Path
) -> None:
    index, queries = make(score=score, operating_points={"triage": 0.2}), draw("b", 4, 60)
    save(index, tmp_path / "i")
    again = load(tmp_path / "i")
    assert again.query(queries) == index.query(queries)
    assert again.query(queries, alpha="triage") == index.query(queries, alpha=0.2)


def test_an_index_with_a_plugins_score_opens_where_the_plugin_is_and_names_it_where_not(
    make: Callable[..., Index], draw: Draw, tmp_path: Path
) -> None:
    registries = Registries()
    registries.score.add(Component("score", "widest", "mine", "1", "", Options, lambda options, build: Widest()))
    index = make(score=score_of(registries, "widest", {}))
    save(index, tmp_path / "i")
    with pytest.raises(DamagedError, match="'mine:widest': there is no such built-in score"):
        load(tmp_path / "i")
    queries = draw("b", 4, 60)
    assert load(tmp_path / "i", score_for=partial(score_of, registries)).query(queries) == index.query(queries)


@pytest.mark.parametrize(
    ("scored", "problem"),
    [
        (lambda queries: np.zeros((len(queries), 2)), r"shape \(20, 2\); it must be \(20, 3\)"),
        (lambda queries: np.full((len(queries), 3), np.nan), "NaN or infinite"),
        (lambda queries: queries["no"], "broke: IndexError"),
    ],
)
def test_a_score_that_breaks_its_contract_is_named(scored: Any, problem: str, make: Callable[..., Index]) -> None:
    class Broken(Widest):
        def fit(self, vectors: FloatArray, codes: IntArray) -> Any:
            return scored

    with pytest.raises(PluginError, match=f"the score broken.* {problem}"):
        make(score=choice(Broken(), "broken"))


def test_operating_points_are_alphas_by_name(make: Callable[..., Index], draw: Draw) -> None:
    index = make(operating_points={"triage": 0.20, "screening": 0.05})
    queries = draw("a", 30, 70)
    assert index.query(queries, alpha="triage") == index.query(queries, alpha=0.20)
    assert index.operating_points == {"triage": 0.20, "screening": 0.05}
    with pytest.raises(IndexCallError, match=r"'triag'.* Did you mean 'triage'\? There are triage \(0.2\), screening"):
        index.query(queries, alpha="triag")
    index.calibrate(draw("a", 20, 100), ["a"] * 20, alpha="screening")
    assert index.alpha == 0.05


@pytest.mark.parametrize(
    ("points", "problem"), [({"triage": 1.0}, "triage: alpha 1.0"), ({"": 0.1}, "no name"), ([0.1], "alphas by name")]
)
def test_operating_points_that_cannot_be_meant_are_refused(points: Any, problem: str) -> None:
    with pytest.raises(IndexCallError, match=problem):
        Index(metric="l2", class_rule="nearest", dim=2, operating_points=points)
