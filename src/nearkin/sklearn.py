"""scikit-learn's face of an index: a classifier over embeddings that can be calibrated, and asked what is near."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from nearkin.contracts import Answer, ClassRule, Metric, Neighbor, ScoreChoice
from nearkin.errors import IndexCallError, listing
from nearkin.index import Index


class IndexClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """The nearest cluster, as a scikit-learn classifier.

    Parameters
    ----------
    metric : {"l1", "l2", "cosine"}
        How distances are measured; `l2` is not squared.
    class_rule : {"nearest", "prototype", "attention"}
        How a label follows from distances.
    alpha : float
        The promised upper bound on the share of a calibrated class's images that are flagged unknown.
    outlier_score : str or dict
        How strange an image is for a class: `"knn"`, or as a recipe has it, `{"type": "knn", "k": 3}`.

    Attributes
    ----------
    index_ : Index
        The index: `index_.query(X)` gives answers with reasons, `index_.save(folder)` keeps them.
    classes_ : ndarray
        The classes as they were in `y`; in the index they are text.

    There is no `predict_proba`: conformal p-values are no probabilities and do not add up to one. `p_values` gives
    them. `predict` always names a class; whether to believe it, `statuses` says.
    """

    def __init__(
        self,
        *,
        metric: Metric = "l2",
        class_rule: ClassRule = "nearest",
        alpha: float = 0.10,
        outlier_score: ScoreChoice | Mapping[str, Any] | str = "knn",
    ) -> None:
        self.metric = metric
        self.class_rule = class_rule
        self.alpha = alpha
        self.outlier_score = outlier_score

    @classmethod
    def of(cls, index: Index) -> IndexClassifier:
        """An index that is there already, fitted and calibrated as it is; X are embeddings of its model.

        `IndexCallError` where embeddings alone are no whole question: an outlier score in a space of its own, or a
        calibration by folds that embed for themselves.
        """
        settings = index.settings
        if settings.space or index.way == "cross_conformal":
            why = "its outlier score has a space of its own" if settings.space else "each of its folds embeds anew"
            raise IndexCallError(f"IndexClassifier: takes embeddings alone, and of this index {why}. Ask it by query.")
        made = cls(
            metric=settings.metric,
            class_rule=settings.class_rule,
            alpha=settings.alpha,
            outlier_score=settings.score,
        )
        made.index_, made.n_features_in_, made.classes_ = index, settings.dim, np.array(index.labels)
        return made

    def fit(self, X: ArrayLike, y: ArrayLike, groups: Sequence[Any] | None = None) -> IndexClassifier:
        """Take the (n, d) embeddings as references; `groups` are what images share (the patient).

        An item whose group is missing is a group of its own. Embeddings are kept in float32: rows that differ by less
        than its seven digits are the same to it.
        """
        vectors, labels = validate_data(self, X, y, dtype=np.float32)
        check_classification_targets(labels)
        self.classes_ = np.unique(labels)
        self.index_ = Index(
            metric=self.metric,
            class_rule=self.class_rule,
            dim=vectors.shape[1],
            alpha=self.alpha,
            score=self.outlier_score,
        )
        self.index_.add(vectors, _texts(labels), groups=_group_texts(groups))
        return self

    def calibrate(self, X: ArrayLike, y: ArrayLike, groups: Sequence[Any] | None = None) -> IndexClassifier:
        """Calibrate on (m, d) held-out embeddings: on none that `fit` or the training of the network has seen."""
        check_is_fitted(self)
        vectors, labels = validate_data(self, X, y, dtype=np.float32, reset=False)
        as_fitted = {label: label for label in self.classes_.tolist()}  # 0.0 is 0, as in Python
        named = [as_fitted.get(label, label) for label in labels.tolist()]
        self.index_.calibrate(vectors, _texts(named), groups=_group_texts(groups))
        return self

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """(n, d) -> (n,) the class of the nearest cluster by the class rule, whatever the status."""
        codes = [self._code_of[answer.label] for answer in self._answers(X)]
        predicted: NDArray[Any] = self.classes_[np.array(codes, dtype=np.int64)]
        return predicted

    def statuses(self, X: ArrayLike) -> NDArray[np.object_]:
        """(n, d) -> (n,) `known`, `ambiguous`, `unknown`, or `None` where the nearest class is uncalibrated."""
        return np.array([answer.status for answer in self._answers(X)], dtype=object)

    def score_samples(self, X: ArrayLike) -> NDArray[np.float64]:
        """(n, d) -> (n,) minus the distance to the nearest reference: the higher, the more like what is known."""
        return -np.array([min(answer.distances.values()) for answer in self._answers(X)], dtype=np.float64)

    def p_values(self, X: ArrayLike) -> NDArray[np.float64]:
        """(n, d) -> (n, c) the conformal p-value of belonging to each of `classes_`; NaN where uncalibrated.

        Of classes that were ruled out before they were measured it is what the p-value is at most (`Answer.bounds`).
        """
        answers = self._answers(X)
        p = np.full((len(answers), len(self.classes_)), np.nan)
        for row, answer in enumerate(answers):
            for label, value in answer.p_values.items():
                p[row, self._code_of[label]] = value
        return p

    def kneighbors(
        self,
        X: ArrayLike | None = None,
        n_neighbors: int = 5,
        return_distance: bool = True,
    ) -> Any:
        """(n, d) -> distances and positions, both (n, n_neighbors), nearest first; positions alone if so wished.

        Positions are rows of `fit`'s X, in `index_.references` too. Without X: the neighbours of each reference,
        itself left out.
        """
        check_is_fitted(self)
        references = self.index_.references
        most = len(references) - (X is None)
        if not 1 <= n_neighbors <= most:
            raise ValueError(f"n_neighbors {n_neighbors}: there are 1 to {most}.")
        answers = self._answers(references.vectors if X is None else X, k=n_neighbors + (X is None))
        found = [answer.neighbors for answer in answers]
        if X is None:
            found = [_others(own, near) for own, near in zip(references.ids.tolist(), found, strict=True)]
        positions = np.searchsorted(references.ids, [[near.id for near in row] for row in found])
        distances = np.array([[near.distance for near in row] for row in found])
        return (distances, positions) if return_distance else positions

    @property
    def _code_of(self) -> dict[str, int]:
        return {str(label): code for code, label in enumerate(self.classes_)}

    def _answers(self, X: ArrayLike, k: int = 1) -> list[Answer]:
        check_is_fitted(self)
        vectors = validate_data(self, X, dtype=np.float32, reset=False)
        if later := sorted({*self.index_.labels} - {*self._code_of}):
            raise IndexCallError(
                f"IndexClassifier: its index has classes since that it was not made with: {listing(later)}. "
                "IndexClassifier.of(index) makes it anew."
            )
        answers: list[Answer] = self.index_.query(vectors, k=k)
        return answers


def _texts(values: Iterable[Any]) -> list[str]:
    return [str(value) for value in values]


def _group_texts(groups: Iterable[Any] | None) -> list[str] | None:
    """As text; of those that are missing (None, NaN, pandas' NA and NaT) each stands alone, which an empty one says."""
    return None if groups is None else ["" if _is_missing(group) else _group_text(group) for group in groups]


def _group_text(group: Any) -> str:
    """A column of whole numbers in which some are missing holds floats: 1.0 is the patient that 1 is."""
    is_whole = isinstance(group, (float, np.floating)) and float(group).is_integer()
    return str(int(group) if is_whole else group)


def _is_missing(value: Any) -> bool:
    return value is None or type(value).__name__ == "NAType" or bool(value != value)  # NA is neither equal nor not


def _others(own: int, near: tuple[Neighbor, ...]) -> tuple[Neighbor, ...]:
    """All but the reference itself, which may stand behind copies of itself."""
    return tuple(neighbor for neighbor in near if neighbor.id != own)[: len(near) - 1]
