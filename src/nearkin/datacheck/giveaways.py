"""Giveaways: how well the class is told from what should not tell it: the border, a corner, 8x8 pixels, the size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearkin.contracts import FloatArray
from nearkin.data.looks import VIEW, Look
from nearkin.datacheck.findings import Finding
from nearkin.errors import listing

FRAME = 0.10
"""The outermost share of each side that counts as border."""
CORNER = VIEW // 4
FOLDS = 5
LEAST_OF_A_CLASS = 10
"""Images a class below which a classifier says nothing."""
EXCESS = 0.25
"""How much of the way from chance to certainty must be sure (95%) before it is called a giveaway."""
TINY = 8


@dataclass(frozen=True)
class Score:
    """How well a classifier that sees a part of each image tells the class, cross-validated over groups."""

    balanced_accuracy: float
    low: float
    """95% lower bound: classes' recalls, each by its number of groups."""
    chance: float

    @property
    def gives_away(self) -> bool:
        """Surely well above chance."""
        return self.low > self.chance + EXCESS * (1 - self.chance)


def giveaway_findings(looks: Sequence[Look]) -> list[Finding]:
    """A finding a part of the image, grave where it tells the class."""
    counts = Counter(look.item.label for look in looks)
    n_groups = Counter(label for label, _ in {(look.item.label, look.item.group) for look in looks})
    small = {label for label, count in counts.items() if count < LEAST_OF_A_CLASS}
    # Out of fold, a class of one group is never among those that train when it is asked about.
    lone = {label for label, n in n_groups.items() if n < 2} - small
    kept = [look for look in looks if look.item.label not in small | lone]
    unjudged = _not_judged(small, lone)
    if len(counts) - len(small | lone) < 2:
        message = (
            f"borders and corners were not judged: it takes two classes of {LEAST_OF_A_CLASS} images in two groups."
        )
        return [Finding("note", "giveaways_not_judged", " ".join([message, *unjudged]))]
    tiny = all(min(look.width, look.height) <= TINY for look in kept)
    judged = {name: part for name, part in parts_of(kept).items() if not (tiny and name == "shrunk_to_8x8")}
    found = [_told(name, part, kept) for name, part in judged.items()]
    if tiny:
        message = (
            "the images are no larger than 8x8 pixels: to judge them shrunk would be to judge the images themselves."
        )
        found.append(Finding("note", "shrunk_to_8x8_not_judged", message))
    found.append(_size_finding(kept))
    if unjudged:
        found.append(
            Finding("note", "classes_not_judged", f"borders and corners were judged without {' '.join(unjudged)}")
        )
    return found


def _not_judged(small: Collection[str], lone: Collection[str]) -> list[str]:
    """Which classes take no part, and why, a sentence a reason."""
    reasons = {f"fewer than {LEAST_OF_A_CLASS} images": small, "images of one group alone": lone}
    return [f"{listing(map(repr, sorted(some)))}: {why}." for why, some in reasons.items() if some]


def parts_of(looks: Sequence[Look]) -> Mapping[str, FloatArray]:
    """What each classifier sees: (n, features) by the part's name."""
    views = np.stack([look.view for look in looks])
    edge = max(1, round(VIEW * FRAME))
    inside = np.zeros((VIEW, VIEW), bool)
    inside[edge:-edge, edge:-edge] = True
    shrunk = views.reshape(-1, TINY, VIEW // TINY, TINY, VIEW // TINY).mean(axis=(2, 4)).reshape(len(views), -1)
    corners = {
        f"corner_{where}": views[:, rows, columns].reshape(len(views), -1)
        for where, rows, columns in (
            ("top_left", slice(CORNER), slice(CORNER)),
            ("top_right", slice(CORNER), slice(-CORNER, None)),
            ("bottom_left", slice(-CORNER, None), slice(CORNER)),
            ("bottom_right", slice(-CORNER, None), slice(-CORNER, None)),
        )
    }
    return {"border": views[:, ~inside], **corners, "shrunk_to_8x8": shrunk}


WORDS = {
    "border": "the outermost 10% of the image alone",
    "shrunk_to_8x8": "the image shrunk to 8x8 pixels",
    **{f"corner_{w}": f"the {w.replace('_', ' ')} corner alone" for w in
       ("top_left", "top_right", "bottom_left", "bottom_right")},
}  # fmt: skip


def _told(name: str, parts: FloatArray, looks: Sequence[Look]) -> Finding:
    score = cross_validated(parts, looks)
    figures = {"balanced_accuracy": score.balanced_accuracy, "low": score.low, "chance": score.chance}
    said = f"{WORDS[name]} tells the class with a balanced accuracy of {score.balanced_accuracy:.2f}"
    bounds = f"at least {score.low:.2f} with 95% confidence; chance is {score.chance:.2f}"
    if not score.gives_away:
        return Finding("note", f"{name}_tells_little", f"{said} ({bounds}).", figures=figures)
    mend = "A network can learn this instead of what is meant: crop or mask it, or take all classes from one source."
    if name == "shrunk_to_8x8":
        mend = "So good figures on these images show little: brightness or framing may answer, not what is meant."
    return Finding("problem", f"{name}_gives_the_class_away", f"{said} ({bounds}). {mend}", figures=figures)


def cross_validated(features: FloatArray, looks: Sequence[Look]) -> Score:
    """Logistic regression on principal components, out of fold, no group on two sides (stratified)."""
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    labels = np.array([look.item.label for look in looks])
    groups = np.array([look.item.group for look in looks])
    folds = _folds(labels, groups)
    smallest_training = len(labels) * (folds.n_splits - 1) // folds.n_splits - 1
    components = max(1, min(30, features.shape[1], smallest_training // 2))
    model = make_pipeline(
        StandardScaler(), PCA(components, random_state=0), StandardScaler(),
        LogisticRegression(C=0.1, class_weight="balanced", max_iter=1000),
    )  # fmt: skip
    told = cross_val_predict(model, features, labels, groups=groups, cv=folds)
    return scored(labels, told, groups)


def _folds(labels: NDArray[np.str_], groups: NDArray[np.str_]) -> Any:
    """scikit-learn's splitter, of as many folds as the class with the fewest groups allows."""
    from sklearn.model_selection import StratifiedGroupKFold

    fewest = min(len(set(groups[labels == label])) for label in set(labels))
    return StratifiedGroupKFold(n_splits=min(FOLDS, fewest), shuffle=True, random_state=0)


def scored(labels: NDArray[np.str_], told: NDArray[np.str_], groups: NDArray[np.str_]) -> Score:
    """The mean of the classes' recalls, its lower bound from each recall's binomial error over groups."""
    recalls, variances = [], []
    for label in sorted(set(labels.tolist())):
        own = labels == label
        n = len(set(groups[own].tolist()))
        recall = float((told[own] == label).mean())
        recalls.append(recall)
        # As if one of each sort had been seen besides: a recall of 1 on few groups is not certain.
        smoothed = (recall * n + 1) / (n + 2)
        variances.append(smoothed * (1 - smoothed) / n)
    mean = float(np.mean(recalls))
    error = float(np.sqrt(np.sum(variances))) / len(recalls)
    return Score(mean, mean - 1.96 * error, 1 / len(recalls))


def _size_finding(looks: Sequence[Look]) -> Finding:
    """Height, width, channels and bits, as they are on disk."""
    shapes = np.array([look.shape for look in looks], dtype=np.float64)
    if (shapes == shapes[0]).all():
        return Finding("note", "sizes_are_one", f"all images are {_shape_words(looks[0])}.")
    labels = np.array([look.item.label for look in looks])
    groups = np.array([look.item.group for look in looks])
    told = _by_shape(shapes, labels, groups)
    score = scored(labels, told, groups)
    figures = {"balanced_accuracy": score.balanced_accuracy, "low": score.low, "chance": score.chance}
    said = (
        f"size, channels and bit depth alone tell the class with a balanced accuracy of {score.balanced_accuracy:.2f}"
    )
    if not score.gives_away:
        return Finding("note", "sizes_tell_little", f"{said} (chance is {score.chance:.2f}).", figures=figures)
    mend = "The classes come from different devices or sources, which a network can learn instead of what is meant."
    return Finding(
        "problem", "sizes_give_the_class_away", f"{said} (chance is {score.chance:.2f}). {mend}", figures=figures
    )


def _by_shape(shapes: NDArray[np.float64], labels: NDArray[np.str_], groups: NDArray[np.str_]) -> NDArray[np.str_]:
    """Out-of-fold predictions of a shallow tree, which finds thresholds and exact sizes alike."""
    from sklearn.model_selection import cross_val_predict
    from sklearn.tree import DecisionTreeClassifier

    tree = DecisionTreeClassifier(max_depth=4, min_samples_leaf=3, class_weight="balanced", random_state=0)
    return np.asarray(cross_val_predict(tree, shapes, labels, groups=groups, cv=_folds(labels, groups)))


def _shape_words(look: Look) -> str:
    return f"{look.width}x{look.height}, {look.channels} channel{'s' if look.channels > 1 else ''}, {look.bits} bits"
