"""Two states of one model become one: references, calibration, and what trained."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nearkin.errors import IndexCallError, listing
from nearkin.index.calibration import Calibration
from nearkin.index.independence import check_independent
from nearkin.index.inputs import Given
from nearkin.index.references import TEXTS, References
from nearkin.index.state import State


def merge(state: State, other: State, renumber: bool, keep_calibration: bool) -> tuple[State, dict[int, int]]:
    """The first state with all of the other's; and which id each of the other's references has now.

    Alpha, score and history stay the first one's. Calibration items that both have are kept once; the classes that the
    other brings anything of are stale. All that stands in the way is told before anything changes.
    """
    _check_settings(state, other)
    if keep_calibration:
        state.calibration.require_held_out("merge")
        other.calibration.require_held_out("merge")
    moved = other.references.ids.tolist()
    trained = state.trained.merged(other.trained)
    references, new_ids = _references(state, other.references, frozenset(trained.digests), renumber)
    calibration = _calibration(state.calibration, other.calibration) if keep_calibration else Calibration.empty(
        state.settings.dim, state.settings.space_dim
    )  # fmt: skip
    reviewed = state.reviewed.merged(other.reviewed)
    check_independent(calibration, references, trained, reviewed, state.settings.metric)
    changed = {*other.references.labels, *other.calibration.labels}
    came = np.array(new_ids, dtype=np.int64)
    joined = replace(state, trained=trained, reviewed=reviewed, calibration=calibration, folds=())
    merged = joined.with_references(references, came, changed)
    held = {_identity(state.references, item) for item in range(len(state.references))}
    copies = sum(_identity(other.references, item) in held for item in range(len(other.references)))
    note = {"renumbered": renumber, "calibration": len(calibration) - len(state.calibration), "copies": copies}
    return merged.noted("merge", len(moved), other.references.labels, **note), dict(zip(moved, new_ids, strict=True))


def _check_settings(state: State, other: State) -> None:
    ours, theirs = state.settings, other.settings
    differ = [
        f"{name} {getattr(theirs, name)!r} does not go with {getattr(ours, name)!r}"
        for name in ("metric", "class_rule", "dim")
        if getattr(theirs, name) != getattr(ours, name)
    ]
    if ours.space != theirs.space:
        spaces = (one.space.said if one.space else "the embedding itself" for one in (theirs, ours))
        differ.append("its outlier score looks at {}, and this one's at {}".format(*spaces))
    if state.model.digest != other.model.digest:
        differ.append("its embeddings are of another model")
    if differ:
        raise IndexCallError(f"merge: {'; '.join(differ)}. Embed the images of one with the model of the other.")


def _references(
    state: State, other: References, trained_digests: frozenset[str], renumber: bool
) -> tuple[References, list[int]]:
    clashes = sorted(set(state.references.ids.tolist()) & set(other.ids.tolist()))
    if clashes and not renumber:
        raise IndexCallError(
            f"merge: both hold the ids {listing(map(str, clashes))}. "
            "Give the other's references new ones: 'nearkin index merge --renumber', or in Python "
            "merge(other, renumber=True)."
        )
    joined, new_ids = state.references.added(
        Given(other.vectors, (), (), one=False, space=other.space),
        **{name: getattr(other, name) for name in TEXTS},
        trained=other.trained.tolist(),
        trained_digests=trained_digests,
        ids=None if renumber else other.ids.tolist(),
        settings=state.settings,
    )
    return joined if renumber else replace(joined, next_id=max(joined.next_id, other.next_id)), new_ids


def _calibration(ours: Calibration, theirs: Calibration) -> Calibration:
    """Ours, and those of theirs that are not among ours. `IndexCallError` where the two label one image differently."""
    label_of = {_identity(ours, item): ours.labels[item] for item in range(len(ours))}
    new, contradicted = [], []
    for item in range(len(theirs)):
        label = label_of.get(_identity(theirs, item))
        if label is None:
            new.append(item)
        elif label != theirs.labels[item]:
            contradicted.append(f"{theirs.name(item)} ({theirs.labels[item]!r} there, {label!r} here)")
    if contradicted:
        raise IndexCallError(f"merge: calibration items with two labels: {listing(contradicted)}. One is wrong.")
    return ours.joined(theirs.taken(new))


def _identity(items: Calibration | References, item: int) -> str | bytes:
    """The image's digest, else the embedding."""
    return items.digests[item] or np.ascontiguousarray(items.vectors[item]).tobytes()
