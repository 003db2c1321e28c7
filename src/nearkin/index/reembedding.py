"""A state embedded again with another model: labels, groups and ids stay, every vector is new."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nearkin.contracts import Engine
from nearkin.errors import IndexCallError, listing
from nearkin.index.calibration import Calibration
from nearkin.index.independence import check_independent
from nearkin.index.inputs import Given, OnEmbed, read, refuse
from nearkin.index.searcher import Searcher, filled
from nearkin.index.space import rows_of
from nearkin.index.state import State
from nearkin.index.texts import Packed
from nearkin.index.trained import Trained


@dataclass(frozen=True)
class Images:
    """Where the images are: by reference id, else by source under a folder."""

    by_id: Mapping[int, Any]
    root: Path

    def of_references(self, state: State) -> list[Any]:
        """One image a reference, `None` where there is none."""
        references = state.references
        return [
            self.by_id[i] if i in self.by_id else self._file(source)
            for i, source in zip(references.ids.tolist(), references.sources, strict=True)
        ]

    def of_calibration(self, state: State) -> list[Any]:
        """One image a calibration item, `None` where there is none."""
        return [self._file(source) for source in state.calibration.sources]

    def _file(self, source: str) -> Path | None:
        path = self.root / source
        return path if source and path.is_file() else None


def reembed(
    state: State, target: State, engine: Engine, images: Images, keep_calibration: bool, on_embed: OnEmbed
) -> tuple[State, None]:
    """The references and calibration items of `state`, embedded as `target` embeds, under its metric and class rule.

    What trained is the target's. All images that are missing, or are other images now, are told before anything
    changes.
    """
    if target.model.embed is None:
        raise IndexCallError("reembed: the other index has no model. Open it with its model, or take run.index.")
    if keep_calibration:
        state.calibration.require_held_out("reembed")
    none = Calibration.empty(state.settings.dim, state.settings.space_dim)
    held, items = state.references, state.calibration if keep_calibration else none
    pictures = [*images.of_references(state), *(images.of_calibration(state) if keep_calibration else ())]
    names = [f"reference {i} ({source})" for i, source in zip(held.ids, held.sources, strict=True)]
    names += [f"calibration {items.name(item)}" for item in range(len(items))]
    _refuse_unknown_ids(images.by_id, held.ids.tolist())
    _refuse(names, [picture is None for picture in pictures], "no image can be read of", MISSING)
    made = read(pictures, target.settings.dim, target.model.embed, on_embed)
    old = (*held.digests, *items.digests)
    other = [bool(was) and was != now for was, now in zip(old, made.digests, strict=True)]
    _refuse(names, other, "another image now than the one that was embedded:", "Restore them, or remove and add anew.")
    return _embedded_anew(state, target, engine, items, made), None


MISSING = (
    "Pass root= (the folder that the sources are relative to), images={id: image} for references, or "
    "keep_calibration=False and calibrate anew."
)


def _refuse_unknown_ids(by_id: Mapping[int, Any], ids: Sequence[int]) -> None:
    unknown = sorted(set(by_id) - set(ids))
    refuse([f"reembed: images: the index holds no {listing(map(str, unknown))}."] if unknown else [])


def _refuse(names: Sequence[str], wrong: Sequence[bool], what: str, mend: str) -> None:
    found = [name for name, is_wrong in zip(names, wrong, strict=True) if is_wrong]
    refuse([f"reembed: {what} {listing(found)}. {mend}"] if found else [])


def _embedded_anew(state: State, target: State, engine: Engine, items: Calibration, made: Given) -> State:
    kept = {name: getattr(state.settings, name) for name in ("alpha", "operating_points", "score")}
    settings = replace(target.settings, **kept)
    space = made.space if settings.space else None
    refuse(settings.problems(replace(made, space=space)))
    vectors, digests, n = made.vectors, made.digests, len(state.references)
    flags = np.array([digest in target.trained.digests for digest in digests[:n]], dtype=bool)
    texts: dict[str, Any] = {"digests": Packed.of(digests[:n]), "trained": flags}
    references = replace(state.references, vectors=vectors[:n], space=rows_of(space, slice(n)), **texts)
    rows = np.flatnonzero(flags)
    groups = [references.groups[row] for row in rows]
    trained = target.trained.joined(references.vectors[rows], [digests[row] for row in rows.tolist()], groups)
    columns: dict[str, Any] = {"vectors": vectors[n:], "space": rows_of(space, slice(n, None))}
    calibration = replace(items, digests=tuple(digests[n:]), fresh=frozenset(), **columns)
    # Its images are known by their pixels; embeddings of another model tell nothing.
    reviewed = Trained.empty(settings.dim, state.reviewed.digests, state.reviewed.groups)
    check_independent(calibration, references, trained, reviewed, settings.metric)
    searcher = Searcher(references, filled(engine, references.ids, references.vectors), settings.metric)
    anew = State(settings, references, calibration, trained, reviewed, searcher, target.model, state.history)
    scored = calibration.scored(anew.scorer, set(calibration.labels))
    note = {"calibration": len(items), "model": target.model.digest}
    return replace(anew, calibration=scored).noted("reembed", n, references.labels, **note)
