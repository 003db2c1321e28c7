"""Extra classes: every class to learn again, turned or mirrored; their images are made from the batch's, never kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nearkin.contracts import IntArray
from nearkin.recipe.data_options import ExtraClassesOptions


@dataclass(frozen=True)
class Variant:
    """One way to turn every image."""

    quarter_turns: int = 0
    """Counterclockwise, after mirroring."""
    mirrored: bool = False

    def name(self, label: str) -> str:
        """What the class of a label's turned images is called; its parent stays."""
        said = ("mirror" if self.mirrored else "") + (str(90 * self.quarter_turns) if self.quarter_turns else "")
        return f"{label}@{said}" if said else label


AS_IT_IS = Variant()


def variants(options: ExtraClassesOptions | None) -> tuple[Variant, ...]:
    """As it is first, then the extra ones."""
    if options is None:
        return (AS_IT_IS,)
    turns = (0, *sorted({degrees // 90 for degrees in options.rotations}))
    return tuple(Variant(turn, mirrored) for mirrored in (False, True)[: 1 + options.mirror] for turn in turns)


@dataclass(frozen=True)
class TrainingClasses:
    """The classes that train: the known ones, then those of each extra variant in the same order.

    Item number i of n images is image i mod n in variant i // n.
    """

    names: tuple[str, ...]
    codes: IntArray
    """(n * variants,) class codes of the items."""
    variants: tuple[Variant, ...]

    @classmethod
    def of(cls, classes: Sequence[str], codes: IntArray, options: ExtraClassesOptions | None) -> TrainingClasses:
        """From the known classes and the (n,) codes of their images."""
        ways = variants(options)
        names = tuple(way.name(label) for way in ways for label in classes)
        all_codes = np.concatenate([codes + number * len(classes) for number in range(len(ways))])
        return cls(names, all_codes, ways)
