"""References that calibrate themselves, each group against the others: which of them may, and why the promise holds.

Leave-one-group-out. Let a new image and the n groups of a class be drawn alike, and let an item's score be its distance
to the k-th nearest reference of the class outside its own group. Were the new image's group among the references, its
rank would be exact. It is not, and it could only have been a neighbour of others: their scores are as large or larger
without it, and so is its p-value. That holds for a score that only shrinks as references join, on an engine that finds
all of them. References that trained the model may stand among them: they are the same for old images and new.

In a space of its own that is not standardised the same holds. One that is standardised on the references is moved by
each group that joins: leaving the group out of that too does not help, as a score may grow when another joins.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearkin.contracts import IntArray, Metric
from nearkin.errors import IndexCallError, listing
from nearkin.index.calibration import Calibration
from nearkin.index.clusters import kth_outside_group
from nearkin.index.independence import apart_at_most, same_images
from nearkin.index.references import TEXTS, References
from nearkin.index.scoring import Scorer
from nearkin.index.space import rows_of
from nearkin.index.trained import Trained

ELSE = "Calibrate on held-out images: index.calibrate(images, labels)."


def require_exact(scorer: Scorer) -> None:
    """`IndexCallError` where it is unproven that a score only shrinks as references join."""
    if scorer.score.nearest is None:
        raise IndexCallError(
            f"leave_one_group_out: it is unproven that the score {scorer.name} only shrinks as references join, and "
            f"the promise rests on that. It is exact for knn. {ELSE}"
        )
    if scorer.space is not None and scorer.space.standardize:
        raise IndexCallError(
            f"leave_one_group_out: the score looks at a space of its own ({scorer.space.name}) that is standardised on "
            "the references. Each group that joins them moves the scale, so scores do not only shrink. It is exact in "
            f"a space that is not standardised (standardize: false). {ELSE}"
        )
    if scorer.space is None and not scorer.searcher.engine.exact:
        raise IndexCallError(
            "leave_one_group_out: this engine is approximate, and may miss other references once some are left out. "
            f"Use an exact one, index.use_engine('flat'). {ELSE}"
        )


def of_references(references: References, positions: IntArray) -> Calibration:
    """The references at (m,) positions as calibration items, not yet scored."""
    texts: dict[str, Any] = {name: tuple(getattr(references, name).take(positions)) for name in TEXTS}
    return Calibration(
        vectors=references.vectors[positions],
        scores=np.zeros(len(positions), dtype=np.float32),
        way="leave_one_group_out",
        origin=references.ids[positions],
        space=rows_of(references.space, positions),
        **texts,
    )


def as_they_are(calibration: Calibration, references: References) -> Calibration:
    """The items as these references have them now, under the labels of now; those that went are no items any more."""
    return of_references(references, np.flatnonzero(np.isin(references.ids, calibration.origin)))


def barred(references: References, memory: Sequence[Trained], metric: Metric) -> NDArray[np.bool_]:
    """(n,) which references may not calibrate: they trained, or they, an equal image or their group is remembered."""
    found: NDArray[np.bool_] = references.trained.copy()
    bare = references.digests.empty
    for remembered in memory:
        found |= references.digests.among(remembered.digests) | references.groups.among(remembered.groups)
        found |= same_images(references.vectors, bare, remembered.vectors, remembered.bare, metric)
    return found | references.groups.among({*references.groups.take(np.flatnonzero(found))} - {""})


def refuse_barred(items: Calibration, references: References, memory: Sequence[Trained], metric: Metric) -> None:
    """`IndexCallError`, by name, for items that may not calibrate any more."""
    rows = np.searchsorted(references.ids, items.origin)
    wrong = np.flatnonzero(barred(references, memory, metric)[rows]).tolist()
    if wrong:
        raise IndexCallError(
            f"leave_one_group_out: references that trained the model, were chosen for review, or are of such a group: "
            f"{listing(map(items.name, wrong))}. The promise would not hold. index.calibrate_on_references() leaves "
            "them out."
        )


def refuse_copies(items: Calibration, scorer: Scorer) -> None:
    """`IndexCallError` for copies of one image in several groups of a class: each would find the other right beside."""
    copies = sorted({*_by_digest(items), *_by_embedding(items, scorer)})
    if copies:
        raise IndexCallError(
            f"leave_one_group_out: copies of one image in several groups of its class: "
            f"{listing(map(items.name, copies))}. They would look nearer than new images do. Keep one of each: "
            "index.remove(ids=...)."
        )


def _by_digest(items: Calibration) -> list[int]:
    same: dict[tuple[str, str], list[int]] = defaultdict(list)
    for item, (label, digest) in enumerate(zip(items.labels, items.digests, strict=True)):
        if digest:
            same[label, digest].append(item)
    units = [items.groups[item] or int(items.origin[item]) for item in range(len(items))]
    return [item for copies in same.values() if len({units[item] for item in copies}) > 1 for item in copies]


def _by_embedding(items: Calibration, scorer: Scorer) -> list[int]:
    """Those whose digest does not say which image they are."""
    bare = np.flatnonzero(items.bare)
    some, searcher = items.taken(bare.tolist()), scorer.searcher
    codes = searcher.references.codes_of(some.labels)
    held = (searcher.references, searcher.references.vectors, searcher.metric)
    nearest = kth_outside_group(*held, some.vectors, codes, some.groups, some.origin, k=1)
    return list(bare[nearest <= apart_at_most(some.vectors, searcher.metric)].tolist())
