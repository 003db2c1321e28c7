"""Filters: the references that a question is about, and what that leaves of the promise."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nearkin.contracts import Promise
from nearkin.errors import IndexCallError, did_you_mean
from nearkin.index.inputs import refuse
from nearkin.index.references import References
from nearkin.index.texts import Coded, Packed

Where: TypeAlias = Mapping[str, str | Iterable[str]]
"""`{"label": ["covid", "normal"], "source": "ward-3/*"}`: one of the texts for each key, and all the keys."""
COLUMNS = {"label": "labels", "group": "groups", "source": "sources"}
IN_PART = "only some of its references are asked about; its calibration belongs to all of them"


def plain(where: Any) -> dict[str, tuple[str, ...]]:
    """The filter as texts by key. `IndexCallError` for what is no filter."""
    if not isinstance(where, Mapping) or not where:
        keys = ", ".join(COLUMNS)
        raise IndexCallError(f'where {where!r}: give a dict of {keys}, such as {{"label": ["covid", "normal"]}}.')
    wanted = {str(key): (value,) if isinstance(value, str) else _texts(value) for key, value in where.items()}
    refuse(
        _unknown_key(key) if key not in COLUMNS else f"where: {key!r} is to be a text or a list of texts."
        for key, texts in wanted.items()
        if key not in COLUMNS or not texts or not all(isinstance(text, str) for text in texts)
    )
    return wanted


def _texts(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, Iterable) else ()


def _unknown_key(key: str) -> str:
    return f"where: no such key {key!r}.{did_you_mean(key, COLUMNS)} There are {', '.join(COLUMNS)}."


def chosen(references: References, wanted: Mapping[str, Sequence[str]]) -> NDArray[np.bool_]:
    """(n,) which references a plain filter lets through. A text that no reference has is an error, as is none left."""
    passed = {key: _passed(key, texts, getattr(references, COLUMNS[key])) for key, texts in wanted.items()}
    keep = np.logical_and.reduce(list(passed.values()))
    if not keep.any():
        raise IndexCallError(f"where {dict(wanted)}: each is there, but no reference has all of them.")
    return np.asarray(keep)


def _passed(key: str, texts: Sequence[str], values: Coded | Packed) -> NDArray[np.bool_]:
    there = values.distinct() - ({""} if key == "group" else set())
    matched = {text: _matching(key, text, there) for text in texts}
    refuse(
        f"where: the index holds no {key} {text!r}.{did_you_mean(text, there)}"
        for text, found in matched.items()
        if not found
    )
    return values.among(set().union(*matched.values()))


def _matching(key: str, text: str, there: set[str]) -> set[str]:
    """The one value that is the text; for sources, `*` stands for any run of characters."""
    if text in there or key != "source" or "*" not in text:
        return {text} & there
    pattern = re.compile(".*".join(map(re.escape, text.split("*"))), re.DOTALL)
    return {value for value in there if pattern.fullmatch(value)}


def narrowed(promise: Promise, whole: Mapping[str, int], part: Mapping[str, int]) -> Promise:
    """What is left of a promise where the question is about a part of the references.

    `whole`, `part`: class -> references. A class's p-value rests on its own references alone, so a class that is
    asked about whole keeps its promise; one that is asked about in part has none; the others are left out.
    """
    cut = {label: IN_PART for label, n in part.items() if n < whole[label]}
    uncalibrated = {
        label: cut.get(label, promise.uncalibrated.get(label, ""))
        for label in part
        if label in cut or label in promise.uncalibrated
    }
    return replace(
        promise,
        way=promise.way if len(uncalibrated) < len(part) else None,
        groups={label: n for label, n in promise.groups.items() if label in part},
        uncalibrated=uncalibrated,
        stale=tuple(label for label in promise.stale if label in part),
        left_out=tuple(label for label in whole if label not in part),
    )
