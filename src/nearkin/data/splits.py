"""Splits: which items train, select, calibrate and test; drawn by seed, never parting a group."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast, get_args

import numpy as np

from nearkin.contracts import IntArray, Split
from nearkin.data.items import Item
from nearkin.errors import DataError, did_you_mean, listing
from nearkin.recipe.model import DataOptions

SPLITS = cast(tuple[Split, ...], get_args(Split))
DRAWN: tuple[Split, ...] = ("train", "select", "calibrate")
"""In this order, so that more calibration images never change which ones train."""
DRAW_TAG = 1
"""Keeps this use of the seed apart from every other."""


@dataclass(frozen=True)
class Dataset:
    """Items by split; disjoint in items and groups."""

    classes: tuple[str, ...]
    """The known classes, in the recipe's order, else sorted."""
    items: Mapping[Split, tuple[Item, ...]]
    spare: tuple[Item, ...]
    """Items of known and unknown classes that no split took."""
    left_out: Mapping[str, int]
    """Images by label, of labels that are neither known nor unknown."""

    @property
    def unused(self) -> int:
        """How many are spare."""
        return len(self.spare)

    def all_items(self) -> list[Item]:
        """Every item that has a split."""
        return [item for split in SPLITS for item in self.items[split]]

    def codes(self, split: Split) -> IntArray:
        """(n,) each item's class as its place in `classes`; for splits that hold known classes alone."""
        place = {label: code for code, label in enumerate(self.classes)}
        return np.array([place[item.label] for item in self.items[split]], dtype=np.int64)

    def notes(self) -> list[str]:
        """What a user should hear about items that are not used."""
        said = [f"{n} images of {label!r}" for label, n in sorted(self.left_out.items())]
        notes = [f"left out, neither known nor unknown: {listing(said)}."] if said else []
        if self.unused:
            notes.append(f"in no split, of known or unknown classes: {self.unused} images.")
        return notes


def split_items(items: Iterable[Item], options: DataOptions, seed: int) -> Dataset:
    """Draw the splits. `DataError` names every class that is missing or too small, with has, needs and the mend.

    Where the source marks test items among the known classes, those are test and no others; items it marks select or
    calibrate are what these are drawn from, and everything else is what train (and an unmarked select or calibrate)
    is drawn from. Items of unknown classes are test items, whatever the source says of them: they train nothing.
    A group goes to one split: what that one does not need of it stays unused. `data.test` is an exact count for
    known classes, and a limit for unknown ones.
    """
    ordered = sorted(items, key=lambda item: item.key)
    counts = Counter(item.label for item in ordered)
    classes, unknown, problems = _classes(set(counts), options)
    known_items = [item for item in ordered if item.label in classes]
    unknown_items = [item for item in ordered if item.label in unknown]
    problems += _parted_groups(known_items)
    draw = _Draw(classes, known_items, unknown_items, options, np.random.default_rng([seed, DRAW_TAG]), problems)
    splits: dict[Split, tuple[Item, ...]] = {split: draw.take(split) for split in DRAWN}
    splits["test"] = draw.test()
    if problems:
        raise DataError("\n".join(problems))
    used = {item.key for members in splits.values() for item in members}
    spare = tuple(item for item in (*known_items, *unknown_items) if item.key not in used)
    left_out = {label: n for label, n in counts.items() if label not in classes and label not in unknown}
    return Dataset(classes, splits, spare, left_out)


def _classes(there: set[str], options: DataOptions) -> tuple[tuple[str, ...], set[str], list[str]]:
    """(known, unknown) labels of those that are there, and what is wrong with those that are asked for."""
    asked_unknown = () if options.unknown == "rest" else options.unknown
    known = options.known or tuple(sorted(there - set(asked_unknown)))
    labels = f"The labels are {listing(sorted(there), most=30) or 'none'}."
    problems = [
        f"data.{key}: no image has the label {label!r}.{did_you_mean(label, there)} {labels}"
        for key, asked in (("known", known), ("unknown", asked_unknown))
        for label in asked
        if label not in there
    ]
    problems += [
        f"data: the class {label!r} is named {n} times in known and unknown; name each class once."
        for label, n in Counter([*(options.known or ()), *asked_unknown]).items()
        if n > 1
    ]
    if options.unknown == "rest" and options.known is None:
        problems.append("data.unknown: 'rest' is all that is not known, so data.known must name the known classes.")
    if len(known) < 2:
        problems.append(
            f"data.known: at least two classes are needed to learn from, and {len(known)} is left. {labels}"
        )
    unknown = there - set(known) if options.unknown == "rest" else there & set(asked_unknown)
    return tuple(label for label in known if label in there), unknown, problems


def _parted_groups(items: Sequence[Item]) -> list[str]:
    """A source that marks splits must not have one patient on two sides."""
    sides: dict[str, set[str]] = defaultdict(set)
    for item in items:
        sides[item.group].add(item.split or "train")
    parted = [f"{group!r} ({' and '.join(sorted(s))})" for group, s in sorted(sides.items()) if len(s) > 1]
    if not parted:
        return []
    mend = "Give every item of a group the same split; none counts as train."
    return [f"groups that stand in more than one split of the source: {listing(parted)}. {mend}"]


@dataclass
class _Draw:
    """Takes items for one split after another; a group that one has taken is closed to the others."""

    classes: tuple[str, ...]
    known: Sequence[Item]
    unknown: Sequence[Item]
    options: DataOptions
    rng: np.random.Generator
    problems: list[str]
    owner: dict[str, Split] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.marked = {item.split for item in self.known}
        groups = sorted({item.group for item in self.known})
        others = sorted({item.group for item in self.unknown}.difference(groups))
        # Known groups first and by themselves, so that other unknown classes never change which images train.
        shuffled = [*self._shuffled(groups), *self._shuffled(others)]
        self.rank = {group: rank for rank, group in enumerate(shuffled)}

    def _shuffled(self, groups: list[str]) -> list[str]:
        return [groups[place] for place in np.argsort(self.rng.permutation(len(groups)))]

    def take(self, split: Split) -> tuple[Item, ...]:
        """As many of each class as the recipe asks for."""
        needs = {"train": self.options.shots, "select": self.options.select, "calibrate": self.options.calibrate}[split]
        pool = self._pool(split)
        return tuple(item for label in self.classes for item in self._of_class(split, label, pool[label], needs))

    def _pool(self, split: Split) -> dict[str, list[Item]]:
        """What this split may be drawn from, by class: what the source marks for it, else what it leaves to train."""
        marks = {split} if split in self.marked and split != "train" else {None, "train"}
        pool: dict[str, list[Item]] = {label: [] for label in self.classes}
        for item in self.known:
            if item.split in marks:
                pool[item.label].append(item)
        return pool

    def _of_class(self, split: Split, label: str, pool: Sequence[Item], needs: int) -> list[Item]:
        """The first `needs` items in the order of their groups' ranks; no group that another split owns."""
        free = [item for item in pool if self.owner.get(item.group, split) == split]
        # A group that this split has taken for another class comes first: it is closed to all others anyway.
        free.sort(key=lambda item: (item.group not in self.owner, self.rank[item.group], item.key))
        if len(free) < needs:
            self.problems.append(self._too_small(split, label, free, needs))
        taken = free[:needs]
        self.owner.update({item.group: split for item in taken})
        return taken

    def _too_small(self, split: Split, label: str, has: Sequence[Item], needs: int) -> str:
        key = "shots" if split == "train" else split
        marked = f" that the source marks {split}" if split != "train" and split in self.marked else ""
        every = sum(item.label == label for item in self.known)
        return (
            f"class {label!r}: {split} needs {needs} images and has {len(has)}{marked}, in "
            f"{len({item.group for item in has})} groups that no other split took; the class has {every} in all. "
            f"Lower data.{key}{'' if marked else ' (or the count of another split)'}, or add images."
        )

    def test(self) -> tuple[Item, ...]:
        """What the source marks as test, else all that is left; then the unknown classes' items."""
        marks = {"test"} if "test" in self.marked else {None, "train"}
        left = [item for item in self.known if item.split in marks and item.group not in self.owner]
        members = [*left, *(item for item in self.unknown if item.group not in self.owner)]
        most = self.options.test
        if most is None:
            return tuple(members)
        by_class: dict[str, list[Item]] = defaultdict(list)
        for item in sorted(members, key=lambda item: (self.rank[item.group], item.key)):
            by_class[item.label].append(item)
        short = [label for label in self.classes if len(by_class[label]) < most]
        self.problems += [self._too_small("test", label, by_class[label], most) for label in short]
        return tuple(item for label in sorted(by_class) for item in by_class[label][:most])
