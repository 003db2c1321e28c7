"""Labels that go with support images, as a caller has them: a list, an array or a tensor."""

from __future__ import annotations

from typing import Any

import numpy as np

from nearkin.errors import IndexCallError, listing
from nearkin.index.inputs import refuse, texts


def label_list(name: str, values: Any, n: int) -> list[Any]:
    """Texts or numbers, one an image: a single text stands for a single one. `IndexCallError` for anything else."""
    labels = texts(values.tolist() if hasattr(values, "tolist") else values, n)
    if not isinstance(labels, list):
        raise IndexCallError(f"{name}: {labels!r} is not a list of {n} labels.")
    wrong = [f"{label!r} at {place}" for place, label in enumerate(labels) if not _is_label(label)]
    refuse([f"{name}: a label is a text or a number, but there is {listing(wrong)}."] if wrong else [])
    return labels


def _is_label(value: Any) -> bool:
    return isinstance(value, (str, int, float, np.generic)) and value == value  # NaN is no label
