"""What every outlier score promises, for each metric."""

from __future__ import annotations

from typing import get_args

import numpy as np

from nearkin.contracts import Build, FloatArray, IntArray, Metric, Score
from nearkin.index.distances import distances

CLASSES, EACH, DIMS = 3, 12, 6


class ScoreContract:
    """Subclass and implement `make`; narrow `metrics` where the score takes only some."""

    metrics: tuple[Metric, ...] = get_args(Metric)

    def make(self, build: Build) -> Score:
        """The score, for `build.metric` and `build.embedding_dim`."""
        raise NotImplementedError("say how your score is made")

    def test_there_is_one_finite_score_a_query_and_class(self) -> None:
        """Each class has its column."""
        for metric in self.metrics:
            fitted = self.made(metric).fit(*references())
            for q in (1, 7):
                scores = fitted(points(0, q, seed=5))
                assert scores.shape == (q, CLASSES), metric
                assert np.isfinite(scores).all(), metric

    def test_a_stranger_scores_higher_than_a_class_s_own(self) -> None:
        """Here a stranger is of another class, and nine in ten pairs are enough."""
        for metric in self.metrics:
            fitted = self.made(metric).fit(*references())
            scores = [fitted(points(code, 30, seed=9)) for code in range(CLASSES)]
            for own in range(CLASSES):
                for other in set(range(CLASSES)) - {own}:
                    above = scores[other][:, own][:, None] > scores[own][:, own][None, :]
                    assert above.mean() > 0.9, (metric, own, other)

    def test_a_query_scores_the_same_alone_or_among_others(self) -> None:
        """Up to rounding."""
        for metric in self.metrics:
            fitted = self.made(metric).fit(*references())
            queries = points(1, 9, seed=3)
            alone = np.concatenate([fitted(query[None]) for query in queries])
            np.testing.assert_allclose(fitted(queries), alone, rtol=1e-4, atol=1e-4)

    def test_the_order_of_the_references_does_not_matter(self) -> None:
        """Neither within a class nor between them."""
        for metric in self.metrics:
            vectors, codes = references()
            order = np.random.default_rng(1).permutation(len(codes))
            queries = points(1, 9, seed=3)
            there = self.made(metric).fit(vectors, codes)(queries)
            again = self.made(metric).fit(vectors[order], codes[order])(queries)
            np.testing.assert_allclose(there, again, rtol=1e-4, atol=1e-4)

    def test_fitting_again_leaves_what_was_fitted_before_as_it_was(self) -> None:
        """Readers go on with the state that they have."""
        for metric in self.metrics:
            score, queries = self.made(metric), points(2, 5, seed=3)
            first = score.fit(*references())
            before = first(queries)
            score.fit(*references(seed=7))
            np.testing.assert_array_equal(before, first(queries))

    def test_as_few_references_as_it_says_are_enough(self) -> None:
        """Copies of one image among them, or nothing else."""
        for metric in self.metrics:
            score = self.made(metric)
            assert score.fewest >= 1, metric
            for copies in (1, score.fewest):
                kept = [points(code, score.fewest, seed=2) for code in range(CLASSES)]
                vectors = np.concatenate([np.repeat(own[:: max(copies, 1)], copies, axis=0) for own in kept])
                codes = np.repeat(np.arange(CLASSES), score.fewest)
                assert np.isfinite(score.fit(vectors, codes)(points(0, 4, seed=3))).all(), (metric, copies)

    def test_one_class_alone_is_scored(self) -> None:
        """Nothing needs a second."""
        for metric in self.metrics:
            vectors, codes = references()
            fitted = self.made(metric).fit(vectors[codes == 0], codes[codes == 0])
            assert np.isfinite(fitted(points(0, 4, seed=3))).all(), metric

    def test_a_score_that_says_nearest_is_that_distance(self) -> None:
        """The index takes it from its search, so it must be."""
        for metric in self.metrics:
            score = self.made(metric)
            if score.nearest is None:
                continue
            vectors, codes = references()
            queries = points(1, 9, seed=3)
            by_class = [np.sort(distances(queries, vectors[codes == code], metric)) for code in range(CLASSES)]
            true = np.stack([far[:, score.nearest - 1] for far in by_class], axis=1)
            np.testing.assert_allclose(score.fit(vectors, codes)(queries), true, rtol=1e-5)

    def made(self, metric: Metric) -> Score:
        """For the vectors here."""
        return self.make(Build(seed=0, embedding_dim=DIMS, metric=metric))


def points(code: int, n: int, *, seed: int) -> FloatArray:
    """(n, 6) around the centre of a class."""
    rng = np.random.default_rng([seed, code])
    centre = 6 * np.eye(DIMS)[code] + 1
    drawn: FloatArray = (centre + 0.7 * rng.normal(size=(n, DIMS))).astype(np.float32)
    return drawn


def references(seed: int = 0) -> tuple[FloatArray, IntArray]:
    """(36, 6), (36,): twelve of each of three classes."""
    vectors = np.concatenate([points(code, EACH, seed=seed) for code in range(CLASSES)])
    return vectors, np.repeat(np.arange(CLASSES), EACH)
