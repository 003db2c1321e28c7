"""Explanations: the map of one image against another, or of one answer of the index."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from nearkin.contracts import ClassRule, FloatArray, ImageLike, Metric
from nearkin.data import decode
from nearkin.errors import UsageError, printable
from nearkin.explaining.occlusion import Score, occlusion_map
from nearkin.index.clusters import attention
from nearkin.index.distances import distances
from nearkin.index.inputs import is_whole
from nearkin.index.references import References
from nearkin.run import Run

PARTS = 7
"""A patch is a seventh of the side: smaller ones hide too little of a shape, larger ones show too little of where."""
WHY: Mapping[ClassRule, str] = {
    "nearest": "why {label!r} is nearer than any other cluster",
    "prototype": "why the class mean of {label!r} is nearer than any other",
    "attention": "why more attention falls on {label!r} than on any other cluster",
}


@dataclass(frozen=True, eq=False)
class Explanation:
    """Which regions of an image made a likeness."""

    map: FloatArray
    """(h, w) at the backbone's size, not negative; it sums to 1, or to 0 where no region mattered."""
    image: FloatArray
    """(channels, h, w) in [0, 1], as the network saw it."""
    of: str
    """What was explained, in a sentence."""

    def mass(self, top: int, left: int, bottom: int, right: int) -> float:
        """The share of the map in a box of pixels, at the backbone's size; what lies beyond the image holds nothing."""
        if bottom <= top or right <= left:
            raise UsageError(f"mass: from ({top}, {left}) to ({bottom}, {right}) is no box. Give the upper left first.")
        return float(self.map[max(0, top) : max(0, bottom), max(0, left) : max(0, right)].sum())


def explain(
    run: Run, image: ImageLike, against: ImageLike | None = None, *, patch: int | None = None, stride: int | None = None
) -> Explanation:
    """Which regions of `image` made it near `against`; without that, near the cluster that the index answers with.

    Of an answer: how much nearer the named cluster is than any other by what the class rule compares, nearest
    references, class means or shares of attention, so that what is alike in all of them does not count. Patches are a
    seventh of the side, moved by a third of a patch, unless given in pixels. Costs some 400 embeddings.
    """
    return explain_prepared(run, run.model.prepare(decode(image)), against, patch=patch, stride=stride)


def explain_prepared(
    run: Run,
    given: FloatArray,
    against: ImageLike | None = None,
    *,
    patch: int | None = None,
    stride: int | None = None,
) -> Explanation:
    """The same of an image as the model takes it: (channels, h, w) in [0, 1]."""
    side = min(given.shape[1:])
    patch = max(2, side // PARTS) if patch is None else patch
    stride = max(1, patch // 3) if stride is None else stride
    if not (is_whole(patch) and is_whole(stride)) or not 1 <= stride <= patch <= side:
        raise UsageError(
            f"explain: patch {patch} and stride {stride} do not fit images of {side} pixels. Both are whole numbers; "
            f"a patch is at most {side}, and moved by at most its own size."
        )
    score, of = _to_image(run, against) if against is not None else _to_cluster(run, given)
    found = occlusion_map(score, given, patch=patch, stride=stride)
    total = float(found.sum())
    return Explanation(found / total if total > 0 else found, given, of)


def _to_image(run: Run, against: ImageLike) -> tuple[Score, str]:
    """Minus the distance to one image."""
    target = run.model.embed_tensor(run.model.prepare(decode(against))[None])
    metric = run.model.method.metric

    def score(images: FloatArray) -> FloatArray:
        return -distances(run.model.embed_tensor(images), target, metric)[:, 0]

    name = against.name if isinstance(against, Path) else against if isinstance(against, str) else "the other"
    return score, f"why it is near {printable(name)}"


def _to_cluster(run: Run, given: FloatArray) -> tuple[Score, str]:
    """By how much the cluster that is answered is before the next one."""
    asked = replace(run.model.embed_both(given[None]), folds=tuple(f.model.embed_both(given[None]) for f in run.folds))
    label = run.index.query(asked)[0].label
    metric, rule, references = run.model.method.metric, run.model.method.class_rule, run.index.references
    code = references.code_of[label]

    def score(images: FloatArray) -> FloatArray:
        return margin(run.model.embed_tensor(images), code, references, rule, metric)

    return score, WHY[rule].format(label=label)


def margin(vectors: FloatArray, code: int, references: References, rule: ClassRule, metric: Metric) -> FloatArray:
    """(n, d) -> (n,): by how much the class rule prefers one class to the next best; of a lone one, how near it is."""
    if rule == "attention" and len(references.classes) > 1:
        shares = attention(references, vectors)
        ahead: FloatArray = (shares[:, code] - np.delete(shares, code, axis=1).max(axis=1)).astype(np.float32)
        return ahead
    by_mean = rule == "prototype"
    points = references.means if by_mean else references.vectors
    its = (np.arange(len(references.classes)) if by_mean else references.codes) == code
    own, others = points[its], points[~its]
    near = distances(vectors, own, metric).min(axis=1)
    nearer: FloatArray = distances(vectors, others, metric).min(axis=1) - near if len(others) else -near
    return nearer
