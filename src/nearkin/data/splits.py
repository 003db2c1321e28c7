"""Splits: which items train, select, calibrate and test; drawn by seed, never parting a group."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast, get_args

import numpy as np

from nearkin.contracts import Split
from nearkin.data.items import Item
from nearkin.errors import DataError, did_you_mean, listing
from nearkin.recipe.model import DataOptions

SPLITS = cast(tuple[Split, ...], get_args(Split))
DRAWN: tuple[Split, ...] = ("train", "select", "calibrate")
"""In this order, so that more calibration images never change which ones train."""


@dataclass(frozen=True)
class Dataset:
    """Items by split; disjoint in items and groups."""

    classes: tuple[str, ...]
    """The known classes, in the recipe's order, else sorted."""
    items: Mapping[Split, tuple[Item, ...]]
    unused: int
    """Items of known classes that no split took."""
    left_out: Mapping[str, int]
    """Images by label, of labels that are neither known nor unknown."""

    def all_items(self) -> list[Item]:
        """Every item that has a split."""
        return [item for split in SPLITS for item in self.items[split]]

    def notes(self) -> list[str]:
        """What a user should hear about items that are not used."""
        said = [f"{n} images of {label!r}" for label, n in sorted(self.left_out.items())]
        notes = [f"left out, neither known nor unknown: {listing(said)}."] if said else []
        if self.unused:
            notes.append(f"{self.unused} images of known classes are in no split.")
        return notes


def split_items(items: Iterable[Item], options: DataOptions, seed: int) -> Dataset:
    """Draw the splits. `DataError` names every class that is missing or too small, with has, needs and the mend.

    Where the source marks test items, those are test and no others; items it marks select or calibrate are what
    these are drawn from, and everything else is what train (and an unmarked select or calibrate) is drawn from.
    Items of unknown classes are test items, whatever the source says of them: they train nothing.
    """
    ordered = sorted(items, key=lambda item: item.key)
    classes, unknown = _classes(ordered, options)
    known_items = [item for item in ordered if item.label in classes]
    unknown_items = [item for item in ordered if item.label in unknown]
    _refuse_parted_groups(known_items)
    draw = _Draw(classes, known_items, options, np.random.default_rng([seed, 1]))
    splits = {split: draw.take(split) for split in DRAWN}
    splits["test"] = draw.test(unknown_items)
    if draw.problems:
        raise DataError("\n".join(draw.problems))
    used = sum(item.label in classes for members in splits.values() for item in members)
    left_out = Counter(item.label for item in ordered if item.label not in classes and item.label not in unknown)
    return Dataset(classes, splits, len(known_items) - used, dict(left_out))


def _classes(items: Sequence[Item], options: DataOptions) -> tuple[tuple[str, ...], frozenset[str]]:
    """(known, unknown) labels; all that are asked for must be there."""
    there = {item.label for item in items}
    asked_unknown = () if options.unknown == "rest" else options.unknown
    known = options.known or tuple(sorted(there - set(asked_unknown)))
    missing = [label for label in (*known, *asked_unknown) if label not in there]
    if missing:
        said = " ".join(f"no image has the label {label!r}.{did_you_mean(label, there)}" for label in missing)
        raise DataError(f"data: {said} The labels are {listing(sorted(there))}.")
    unknown = there - set(known) if options.unknown == "rest" else set(asked_unknown)
    return known, frozenset(unknown)


def _refuse_parted_groups(items: Sequence[Item]) -> None:
    """A source that marks splits must not have one patient on two sides."""
    sides: dict[str, set[str]] = defaultdict(set)
    for item in items:
        sides[item.group].add(item.split if item.split and item.split != "train" else "train")
    parted = sorted(group for group, splits in sides.items() if len(splits) > 1)
    if parted:
        raise DataError(
            f"{len(parted)} groups stand in more than one split of the source: {listing(parted)}. "
            "Give every item of a group the same split."
        )


@dataclass
class _Draw:
    """Takes items for one split after another; a group that one has taken is closed to the others."""

    classes: tuple[str, ...]
    items: Sequence[Item]
    options: DataOptions
    rng: np.random.Generator
    problems: list[str] = field(default_factory=list)
    owner: dict[str, Split] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.marked = {item.split for item in self.items}
        groups = sorted({item.group for item in self.items})
        self.rank = dict(zip(groups, self.rng.permutation(len(groups)).tolist(), strict=True))

    def take(self, split: Split) -> tuple[Item, ...]:
        """As many of each class as the recipe asks for."""
        needs = {"train": self.options.shots, "select": self.options.select, "calibrate": self.options.calibrate}[split]
        pool = self._pool(split)
        return tuple(item for label in self.classes for item in self._of_class(split, label, pool[label], needs))

    def _pool(self, split: Split) -> dict[str, list[Item]]:
        """What this split may be drawn from, by class."""
        marks = {split} if split in self.marked and split != "train" else {None, "train"}
        pool: dict[str, list[Item]] = {label: [] for label in self.classes}
        for item in self.items:
            if item.split in marks:
                pool[item.label].append(item)
        return pool

    def _of_class(self, split: Split, label: str, pool: Sequence[Item], needs: int) -> list[Item]:
        """The first `needs` items in the order of their groups' ranks; no group that another split owns."""
        free = [item for item in pool if self.owner.get(item.group, split) == split]
        # A group that this split has taken for another class comes first: it is closed to all others anyway.
        free.sort(key=lambda item: (item.group not in self.owner, self.rank[item.group], item.key))
        taken = free[:needs]
        if len(taken) < needs:
            self.problems.append(self._too_small(split, label, len(taken), needs))
        self.owner.update({item.group: split for item in taken})
        return taken

    def _too_small(self, split: Split, label: str, has: int, needs: int) -> str:
        key = "shots" if split == "train" else split
        return (
            f"class {label!r}: {split} needs {needs} images, and {has} are left in groups that no other split has. "
            f"Lower data.{key} (or another split's), or add images."
        )

    def test(self, unknown_items: Sequence[Item]) -> tuple[Item, ...]:
        """What the source marks as test, else all that is left; then the unknown classes' items."""
        marks = {"test"} if "test" in self.marked else {None, "train"}
        left = [i for i in self.items if i.split in marks and i.group not in self.owner]
        foreign = [item for item in unknown_items if item.group not in self.owner]
        members = [*left, *foreign]
        most = self.options.test
        if most is None:
            return tuple(members)
        self.problems += [
            self._too_small("test", label, n, most)
            for label in self.classes
            if (n := sum(item.label == label for item in left)) < most
        ]
        by_class: dict[str, list[Item]] = defaultdict(list)
        for item in sorted(members, key=lambda item: (self.rank.get(item.group, -1), item.key)):
            by_class[item.label].append(item)
        return tuple(item for label in sorted(by_class) for item in by_class[label][:most])
