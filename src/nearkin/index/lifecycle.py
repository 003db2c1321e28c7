"""Classes come and go: references added to a state and removed from it, each change a new state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from nearkin.errors import IndexCallError
from nearkin.index.inputs import Given, refuse, text_problems, vector_problems
from nearkin.index.references import References
from nearkin.index.state import State


def add(
    state: State,
    given: Given,
    named: Mapping[str, Any],
    ids: Sequence[int] | int | None,
    trained: bool | Sequence[bool],
) -> tuple[State, list[int]]:
    """These too, with the ids of the new ones in the order given. All or none are added."""
    references, new_ids = state.references.added(
        given.vectors,
        labels=named["labels"],
        groups=named["groups"],
        sources=named["sources"],
        digests=named["digests"],
        trained=[trained] * len(given) if isinstance(trained, bool) else trained,
        trained_digests=state.trained.digests,
        ids=[ids] if isinstance(ids, (int, np.integer)) else ids,
        metric=state.settings.metric,
    )
    remembered = _remember_new(state, references, new_ids)
    return remembered.with_references(references, np.array(new_ids, dtype=np.int64), named["labels"]), new_ids


def _remember_new(state: State, references: References, new_ids: Sequence[int]) -> State:
    """What trained stays known after its references went."""
    rows = np.flatnonzero(references.trained & np.isin(references.ids, new_ids))
    if not len(rows):
        return state
    digests, groups = ([texts[row] for row in rows] for texts in (references.digests, references.groups))
    return replace(state, trained=state.trained.joined(references.vectors[rows], digests, groups))


def remove(
    state: State,
    ids: Iterable[int] | int | None,
    labels: Iterable[str] | str | None,
    groups: Iterable[str] | str | None,
) -> tuple[State, int]:
    """Without those that exactly one of ids, labels, groups names; and how many went."""
    asked = {"ids": ids, "labels": labels, "groups": groups}
    chosen = [(what, wanted) for what, wanted in asked.items() if wanted is not None]
    if len(chosen) != 1:
        raise IndexCallError("remove: give exactly one of ids, labels, groups.")
    what, wanted = chosen[0]
    positions = state.references.positions(what, [wanted] if isinstance(wanted, (int, np.integer, str)) else wanted)
    gone = {state.references.labels[place] for place in positions}
    left = state.references.without(positions)
    return state.with_references(left, state.references.ids[positions], gone), len(positions)


def remember_trained(state: State, given: Given, named: Mapping[str, Any]) -> State:
    """These trained the model, and are no references."""
    refuse(
        vector_problems(given.vectors, state.settings.dim, state.settings.metric)
        + [problem for name in ("groups", "digests") for problem in text_problems(name, named[name], len(given))]
    )
    return replace(state, trained=state.trained.joined(given.vectors, named["digests"], named["groups"]))
