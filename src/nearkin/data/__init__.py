"""Images: decoded, listed by sources, split by seed, held in memory once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nearkin.data.copies import group_copies
from nearkin.data.folds import leave_out
from nearkin.data.images import BadImage, Picture, decode, fit
from nearkin.data.items import Item
from nearkin.data.looks import Look, look_at
from nearkin.data.near_copies import find_pairs, leaks
from nearkin.data.preview import pair_sheet
from nearkin.data.sources import Source, open_source
from nearkin.data.splits import Dataset, split_items
from nearkin.data.store import ImageStore
from nearkin.errors import DataError
from nearkin.recipe.data_options import DataOptions

__all__ = [
    "BadImage",
    "Dataset",
    "ImageStore",
    "Item",
    "Picture",
    "Source",
    "decode",
    "draw",
    "fit",
    "load_data",
    "open_source",
    "pair_sheet",
    "split_items",
]


def load_data(options: DataOptions, seed: int) -> tuple[Source, Dataset]:
    """Open the recipe's source and draw its splits; `data.seed` goes before the recipe's own.

    Files that are the same byte for byte are one group.
    """
    source = open_source(options)
    return source, draw(source, options, seed)


def draw(source: Source, options: DataOptions, seed: int, looks: Sequence[Look] | None = None) -> Dataset:
    """The splits of a source. `looks`: of all its images, where they were taken before and leaks are dropped."""
    dropped = find_leaks(source, looks) if options.drop_leaks else ()
    kept = to_draw_from(source.items, dropped)
    seed = seed if options.seed is None else options.seed
    dataset = replace(split_items(kept, options, seed), dropped=dropped, source_notes=source.notes)
    return leave_out(dataset, options.fold, seed) if options.fold else dataset


def to_draw_from(items: Sequence[Item], dropped: Sequence[str]) -> list[Item]:
    """The items that splits are drawn from: copies in one group, without those of the `dropped` keys."""
    return [item for item in group_copies(items) if item.key not in set(dropped)]


def find_leaks(source: Source, looks: Sequence[Look] | None = None) -> tuple[str, ...]:
    """Keys of the test images that another split of the source holds a copy of, or one that looks the same.

    `looks`: of all its images, where they were taken before. `DataError` where the source marks no test images: there
    is nothing to judge by.
    """
    if not any(item.split == "test" for item in source.items):
        raise DataError(
            "data.drop_leaks leaves out test images with a copy in another split, and this source marks none as test. "
            "Leave it out: files that are the same are one group already; give others that belong together a group."
        )
    if looks is None:
        looks, _ = look_at(source, source.items)  # what cannot be decoded is told when the images are stored
    return leaks(find_pairs(looks))
