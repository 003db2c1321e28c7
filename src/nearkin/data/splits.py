"""Splits: which items train, select, calibrate and test; drawn by seed, never parting a group."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, cast, get_args

import numpy as np

from nearkin.contracts import IntArray, Split
from nearkin.data.classes import Roles, assign_roles
from nearkin.data.items import Item
from nearkin.errors import DataError, listing
from nearkin.recipe.data_options import DataOptions

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
    """Items of classes that have a role, which no split took."""
    left_out: Mapping[str, int]
    """Images by label, of labels that have no role."""
    select_classes: tuple[str, ...] = ()
    """The classes of select where these are not the known ones: they train nothing."""
    dropped: tuple[str, ...] = ()
    """Keys of test images that were left out as leaks (`data.drop_leaks`)."""
    source_notes: tuple[str, ...] = ()
    """What the source says of how its images are read."""

    @property
    def unused(self) -> int:
        """How many are spare."""
        return len(self.spare)

    def all_items(self) -> list[Item]:
        """Every item that has a split."""
        return [item for split in SPLITS for item in self.items[split]]

    def without(self, label: str) -> Dataset:
        """The same draw less a known class, whose images to train and select on are all that is asked about.

        What was to test is nowhere in it, so that nothing that is chosen here has seen it.
        """
        others = {split: tuple(item for item in self.items[split] if item.label != label) for split in DRAWN}
        own = tuple(item for split in DRAWN[:2] for item in self.items[split] if item.label == label)
        classes = tuple(one for one in self.classes if one != label)
        return Dataset(classes, {**others, "test": own}, (), {}, self.select_classes)

    def codes(self, split: Split) -> IntArray:
        """(n,) each item's class as its place in `classes`, for select in `select_classes`; test has no codes."""
        classes = (split == "select" and self.select_classes) or self.classes
        place = {label: code for code, label in enumerate(classes)}
        return np.array([place[item.label] for item in self.items[split]], dtype=np.int64)

    def notes(self) -> list[str]:
        """What a user should hear about how images are read, and about items that are not used."""
        said = [f"{n} images of {label!r}" for label, n in sorted(self.left_out.items())]
        notes = [*self.source_notes, *([f"left out, neither known nor unknown: {listing(said)}."] if said else [])]
        if self.dropped:
            told = listing(self.dropped, most=50)
            notes.append(f"left out of test, as another split holds the same image ({len(self.dropped)}): {told}.")
        if self.unused:
            notes.append(f"in no split, of known or unknown classes: {self.unused} images.")
        return notes


def split_items(items: Iterable[Item], options: DataOptions, seed: int) -> Dataset:
    """Draw the splits. `DataError` names every class that is missing or too small, with has, needs and the mend.

    Where the source marks test items among the known classes, those are test and no others; items it marks select or
    calibrate are what these are drawn from, and everything else is what train (and an unmarked select or calibrate)
    is drawn from. Items of unknown classes are test items, whatever the source says of them: they train nothing; no
    more do those of `select_classes`, which are select's alone. A group goes to one split: what that one does not need
    of it stays unused. `data.test` is an exact count for known classes, and a limit for unknown ones. Where `shots` is
    `all`, train takes what select, calibrate and a counted test leave.
    """
    ordered = sorted(items, key=lambda item: item.key)
    counts = Counter(item.label for item in ordered)
    roles, problems = assign_roles(set(counts), options)
    known_items = [item for item in ordered if item.label in roles.known]
    select_items = [item for item in ordered if item.label in roles.select]
    unknown_items = [item for item in ordered if item.label in roles.unknown]
    problems += _parted_groups([*known_items, *select_items])
    draw = _Draw(roles, known_items, select_items, unknown_items, options, seed, problems)
    splits = draw.splits()
    if problems:
        raise DataError("\n".join(problems))
    used = {item.key for members in splits.values() for item in members}
    spare = tuple(item for item in (*known_items, *select_items, *unknown_items) if item.key not in used)
    left_out = {label: n for label, n in counts.items() if label not in {*roles.known, *roles.select, *roles.unknown}}
    return Dataset(roles.known, splits, spare, left_out, roles.select)


def _parted_groups(items: Sequence[Item]) -> list[str]:
    """A source that marks splits must not have one patient on two sides."""
    sides: dict[str, set[str]] = defaultdict(set)
    for item in items:
        sides[item.group].add(item.side)
    parted = [f"{group!r} ({' and '.join(sorted(s))})" for group, s in sorted(sides.items()) if len(s) > 1]
    if not parted:
        return []
    mend = "Give every item of a group the same split; none counts as train."
    return [f"groups that stand in more than one split of the source: {listing(parted)}. {mend}"]


@dataclass
class _Draw:
    """Takes items for one split after another; a group that one has taken is closed to the others."""

    roles: Roles
    known: Sequence[Item]
    select: Sequence[Item]
    unknown: Sequence[Item]
    options: DataOptions
    seed: int
    problems: list[str]
    owner: dict[str, Split] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.marked = {item.split for item in self.known}
        self.rank = self._ranked(self.seed)

    def _ranked(self, seed: int) -> dict[str, int]:
        """Each group's place in the order of drawing."""
        rng = np.random.default_rng([seed, DRAW_TAG])
        # Known groups first and by themselves, so that other classes never change which images train.
        shuffled: dict[str, None] = {}
        for items in (self.known, self.select, self.unknown):
            groups = sorted({item.group for item in items}.difference(shuffled))
            shuffled.update(dict.fromkeys(groups[place] for place in np.argsort(rng.permutation(len(groups)))))
        return {group: rank for rank, group in enumerate(shuffled)}

    def splits(self) -> dict[Split, tuple[Item, ...]]:
        """Every split's items. Train goes last where it takes all that the others leave."""
        train_takes_the_rest = self.options.shots == "all"
        taken: dict[Split, tuple[Item, ...]] = {}
        if self.options.held_out_seed is not None:
            self.rank = self._ranked(self.options.held_out_seed)
            taken |= {split: self.take(split) for split in DRAWN[1:]}
            self.rank = self._ranked(self.seed)
        order = DRAWN[1:] if train_takes_the_rest else DRAWN
        taken |= {split: self.take(split) for split in order if split not in taken}
        if train_takes_the_rest and (self.options.test or "test" in self.marked):
            taken["test"] = self.test()
            self.owner.update({item.group: "test" for item in taken["test"]})
        if train_takes_the_rest:
            taken["train"] = self.take("train")
        if "test" not in taken:
            taken["test"] = self.test()
        return {split: taken[split] for split in SPLITS}

    def take(self, split: Split) -> tuple[Item, ...]:
        """As many of each class as the recipe asks for."""
        needs = {"train": self.options.shots, "select": self.options.select, "calibrate": self.options.calibrate}[split]
        own = split == "select" and self.roles.select
        classes, pool = (self.roles.select, self.select) if own else (self.roles.known, self._pool(split))
        by_class: dict[str, list[Item]] = {label: [] for label in classes}
        for item in pool:
            by_class[item.label].append(item)
        return tuple(item for label in classes for item in self._of_class(split, label, by_class[label], needs))

    def _pool(self, split: Split) -> list[Item]:
        """What this split may be drawn from: what the source marks for it, else what it leaves to train."""
        marks = {split} if split in self.marked and split != "train" else {None, "train"}
        return [item for item in self.known if item.split in marks]

    def _of_class(self, split: Split, label: str, pool: Sequence[Item], needs: int | Literal["all"]) -> list[Item]:
        """The first `needs` items in the order of their groups' ranks; no group that another split owns."""
        free = [item for item in pool if self.owner.get(item.group, split) == split]
        # A group that this split has taken for another class comes first: it is closed to all others anyway.
        free.sort(key=lambda item: (item.group not in self.owner, self.rank[item.group], item.key))
        least = 1 if needs == "all" else needs
        if len(free) < least:
            self.problems.append(self._too_small(split, label, free, least))
        taken = free if needs == "all" else free[:needs]
        self.owner.update({item.group: split for item in taken})
        return taken

    def _too_small(self, split: Split, label: str, has: Sequence[Item], needs: int) -> str:
        key = "shots" if split == "train" else split
        marked = f" that the source marks {split}" if split != "train" and split in self.marked else ""
        every = sum(item.label == label for item in (*self.known, *self.select))
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
        short = [label for label in self.roles.known if len(by_class[label]) < most]
        self.problems += [self._too_small("test", label, by_class[label], most) for label in short]
        return tuple(item for label in sorted(by_class) for item in by_class[label][:most])
