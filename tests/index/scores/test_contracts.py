"""The built-in outlier scores keep the contract."""

from __future__ import annotations

from nearkin.contracts import Build, Score
from nearkin.index.scores import score_choice
from nearkin.testing import ScoreContract


class TestKnn(ScoreContract):
    def make(self, build: Build) -> Score:
        return score_choice("knn").make(build)


class TestThirdNearest(ScoreContract):
    def make(self, build: Build) -> Score:
        return score_choice({"type": "knn", "k": 3}).make(build)


class TestScaledKnn(ScoreContract):
    def make(self, build: Build) -> Score:
        return score_choice("scaled_knn").make(build)


class TestPrototype(ScoreContract):
    def make(self, build: Build) -> Score:
        return score_choice("prototype").make(build)


class TestMahalanobis(ScoreContract):
    def make(self, build: Build) -> Score:
        return score_choice("mahalanobis").make(build)


class TestMahalanobisOfEachClass(ScoreContract):
    def make(self, build: Build) -> Score:
        return score_choice({"type": "mahalanobis", "covariance": "class"}).make(build)


class TestRelativeMahalanobis(ScoreContract):
    def make(self, build: Build) -> Score:
        return score_choice("relative_mahalanobis").make(build)


class TestLof(ScoreContract):
    def make(self, build: Build) -> Score:
        return score_choice("lof").make(build)
