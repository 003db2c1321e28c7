"""Folds of the training items, for cross-conformal calibration: the groups of each class spread evenly, none parted."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nearkin.contracts import IntArray
from nearkin.data.items import Item
from nearkin.data.splits import Dataset
from nearkin.errors import DataError, listing
from nearkin.recipe.data_options import FoldOptions

FOLD_TAG = 2
"""Keeps this use of the seed apart from every other."""


def leave_out(dataset: Dataset, fold: FoldOptions, seed: int) -> Dataset:
    """The same data, but that one fold of train calibrates instead."""
    train = dataset.items["train"]
    folds, own = fold_of(train, fold.of, seed), fold.number - 1
    kept, left = (tuple(train[row] for row in np.flatnonzero(rows)) for rows in (folds != own, folds == own))
    return replace(dataset, items={**dataset.items, "train": kept, "calibrate": left})


def fold_of(items: Sequence[Item], n_folds: int, seed: int) -> IntArray:
    """(n,) each item's fold, 0 to n_folds - 1. `DataError` for a class with fewer groups than folds."""
    labels_of: dict[str, set[str]] = defaultdict(set)
    for item in items:
        labels_of[item.group].add(item.label)
    counts = Counter(label for labels in labels_of.values() for label in labels)
    few = [f"{label!r} has {n}" for label, n in sorted(counts.items()) if n < n_folds]
    if few:
        raise DataError(
            f"unknown.folds: {n_folds} folds need as many groups of each class that trains, and {listing(few)}. "
            "Lower unknown.folds, or raise data.shots."
        )
    folds = _folds_of_groups(labels_of, n_folds, seed)
    return np.array([folds[item.group] for item in items], dtype=np.int64)


def _folds_of_groups(labels_of: dict[str, set[str]], n_folds: int, seed: int) -> dict[str, int]:
    """Group by group in an order that the seed draws, each into the fold that has fewest groups of its classes."""
    groups = sorted(labels_of)
    order = np.random.default_rng([seed, FOLD_TAG]).permutation(len(groups))
    held: list[Counter[str]] = [Counter() for _ in range(n_folds)]
    found = {}
    for group in (groups[place] for place in order):
        labels = labels_of[group]
        found[group] = min(range(n_folds), key=lambda fold: (sum(held[fold][label] for label in labels), fold))
        held[found[group]].update(labels)
    return found


def refuse_parted_copies(items: Sequence[Item], digests: Sequence[str], n_folds: int, seed: int) -> None:
    """`DataError` where one image stands in several folds: a model would calibrate on what it has seen."""
    folds = fold_of(items, n_folds, seed).tolist()
    seen: dict[str, set[int]] = defaultdict(set)
    for digest, fold in zip(digests, folds, strict=True):
        seen[digest].add(fold)
    parted = [item.key for item, digest in zip(items, digests, strict=True) if len(seen[digest]) > 1]
    if parted:
        raise DataError(
            f"unknown.way 'cross_conformal': copies of one image in several folds: {listing(parted)}. "
            "Give copies one group, or remove them."
        )
