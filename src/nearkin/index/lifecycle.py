"""Classes come and go: references added, removed and relabelled, each change a new state with a line of history."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from nearkin.contracts import IntArray
from nearkin.errors import IndexCallError, listing
from nearkin.index.calibrating import stale_where_barred
from nearkin.index.inputs import Given, flags, is_whole, label_problems, refuse, text_problems, vector_problems
from nearkin.index.references import References
from nearkin.index.state import State


def add(
    state: State,
    given: Given,
    named: Mapping[str, Any],
    ids: Sequence[int] | int | None,
    trained: bool | Sequence[bool],
    reviewed: bool | Sequence[bool] = False,
) -> tuple[State, list[int]]:
    """These too, with the ids of the new ones in the order given. All or none are added."""
    references, new_ids = state.references.added(
        given,
        labels=named["labels"],
        groups=named["groups"],
        sources=named["sources"],
        digests=named["digests"],
        trained=flags("trained", trained, len(given)),
        trained_digests=state.trained.digests,
        ids=None if ids is None else list(ids) if isinstance(ids, Iterable) else [ids],
        settings=state.settings,
    )
    remembered = _remember_reviewed(_remember_new(state, references, new_ids), given, named, reviewed)
    changed = remembered.with_references(references, np.array(new_ids, dtype=np.int64), named["labels"])
    if remembered is not state:
        changed = stale_where_barred(changed)
    return changed.noted("add", len(new_ids), named["labels"]), new_ids


def _remember_new(state: State, references: References, new_ids: Sequence[int]) -> State:
    """What trained stays known after its references went."""
    rows = np.flatnonzero(references.trained & np.isin(references.ids, new_ids))
    if not len(rows):
        return state
    digests, groups = ([texts[row] for row in rows.tolist()] for texts in (references.digests, references.groups))
    return replace(state, trained=state.trained.joined(references.vectors[rows], digests, groups))


def _remember_reviewed(state: State, given: Given, named: Mapping[str, Any], reviewed: bool | Sequence[bool]) -> State:
    """What was chosen for review stays known too."""
    rows = np.flatnonzero(flags("reviewed", reviewed, len(given))).tolist()
    if not rows:
        return state
    digests, groups = ([named[name][row] for row in rows] for name in ("digests", "groups"))
    return replace(state, reviewed=state.reviewed.joined(given.vectors[rows], digests, groups))


def remove(
    state: State,
    ids: Iterable[int] | int | None,
    labels: Iterable[str] | str | None,
    groups: Iterable[str] | str | None,
) -> tuple[State, int]:
    """Without those that exactly one of ids, labels, groups names; and how many went."""
    _, positions = _chosen(state.references, "remove", {"ids": ids, "labels": labels, "groups": groups})
    gone = list(state.references.labels.take(positions))
    left = state.references.without(positions)
    changed = state.with_references(left, state.references.ids[positions], gone)
    return changed.noted("remove", len(positions), gone), len(positions)


def _chosen(references: References, call: str, asked: Mapping[str, Any]) -> tuple[str, IntArray]:
    """Which of ids, labels, groups was given, and (m,) positions of the references that it names."""
    given = [(what, wanted) for what, wanted in asked.items() if wanted is not None]
    if len(given) != 1:
        raise IndexCallError(f"{call}: give exactly one of {', '.join(asked)}.")
    what, wanted = given[0]
    is_text = isinstance(wanted, str)
    several = [wanted] if is_text or not isinstance(wanted, Iterable) else list(wanted)
    wrong = [repr(one) for one in several if not (is_whole(one) if what == "ids" else isinstance(one, str))]
    named = "whole numbers" if what == "ids" else "text as written"
    refuse([f"{call}: {what} are {named}, but there is {listing(wrong)}."] if wrong else [])
    return what, references.positions(what, several)


def relabel(
    state: State,
    to: str,
    ids: Iterable[int] | int | None,
    labels: Iterable[str] | str | None,
    groups: Iterable[str] | str | None,
) -> tuple[State, int]:
    """Those that exactly one of ids, labels, groups names under another label; and how many had another before."""
    refuse(text_problems("to", [to], 1) or label_problems("to", [to]))
    references, calibration = state.references, state.calibration
    what, positions = _chosen(references, "relabel", {"ids": ids, "labels": labels, "groups": groups})
    positions = positions[~references.labels.take(positions).among([to])]
    if not len(positions):
        return state, 0
    old = list(references.labels.take(positions))
    alone = len(set(old)) == 1 and to not in {*references.classes, *calibration.labels}
    renamed = what == "labels" and alone and not state.folds  # whose references keep their labels
    moved = calibration.relabelled(set(old), to, still_fresh=renamed) if what == "labels" else calibration
    same_vectors = np.zeros(0, dtype=np.int64)
    changed = replace(state, calibration=moved).with_references(
        references.relabelled(positions, to), same_vectors, labels=() if renamed else {*old, to}
    )
    return changed.noted("relabel", len(positions), old, to=to), len(positions)


def remember_trained(state: State, given: Given, named: Mapping[str, Any]) -> tuple[State, None]:
    """These trained the model, and are no references."""
    refuse(
        vector_problems(given.vectors, state.settings.dim, state.settings.metric)
        + [problem for name in ("groups", "digests") for problem in text_problems(name, named[name], len(given))]
    )
    trained = state.trained.joined(given.vectors, named["digests"], named["groups"])
    return stale_where_barred(replace(state, trained=trained)).noted("remember_trained", len(given)), None
