"""The store decodes each image once and names all bad files together."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from nearkin.contracts import InputSpec, Split
from nearkin.data import BadImage, Dataset, ImageStore, Item, Picture, decode, fit
from nearkin.data import store as store_module
from nearkin.errors import DataError

SPEC = InputSpec((8, 8), 1, (0.0,), (1.0,))


@dataclass
class Arrays:
    """A source of arrays; `None` is a bad one."""

    arrays: Sequence[NDArray[np.uint8] | None]
    loaded: Counter[str] = field(default_factory=Counter)

    @property
    def items(self) -> tuple[Item, ...]:
        return tuple(Item(f"i{n}", "ab"[n % 2], f"g{n}", None, n) for n in range(len(self.arrays)))

    def load(self, item: Item) -> Picture:
        self.loaded[item.key] += 1
        array = self.arrays[int(str(item.place))]
        if array is None:
            raise BadImage(item.key, "is damaged.")
        return decode(array)


@pytest.fixture
def arrays() -> Arrays:
    return Arrays(list(np.random.default_rng(0).integers(0, 256, (40, 9, 7), dtype=np.uint8)))


def split(items: Sequence[Item], **parts: slice) -> Dataset:
    names: tuple[Split, ...] = ("train", "select", "calibrate", "test")
    return Dataset(("a", "b"), {name: tuple(items[parts.get(name, slice(0))]) for name in names}, 0, {})


def test_images_and_digests_come_in_the_order_asked_for(arrays: Arrays) -> None:
    store = ImageStore.load(arrays, arrays.items, SPEC)
    wanted = [arrays.items[n] for n in (5, 3, 3, 39)]
    pictures = [arrays.load(item) for item in wanted]
    np.testing.assert_array_equal(store.images(wanted), [fit(picture.pixels, SPEC) for picture in pictures])
    assert store.digests(wanted) == tuple(picture.digest for picture in pictures)
    assert store.images(wanted).dtype == np.float32
    assert store.images([]).shape == (0, 1, 8, 8)


def test_each_image_is_decoded_once(arrays: Arrays) -> None:
    store = ImageStore.load(arrays, arrays.items, SPEC)
    store.images(arrays.items)
    store.digests(arrays.items)
    assert set(arrays.loaded.values()) == {1}


def test_no_items_give_an_empty_store(arrays: Arrays) -> None:
    assert ImageStore.load(arrays, [], SPEC).images([]).shape == (0, 1, 8, 8)


@pytest.mark.parametrize("threads", [1, 7])
def test_the_number_of_threads_changes_nothing(arrays: Arrays, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = ImageStore.load(arrays, arrays.items, SPEC)
    monkeypatch.setattr(store_module, "MOST_THREADS", threads)
    monkeypatch.setattr(store_module.os, "cpu_count", lambda: threads)
    other = ImageStore.load(arrays, arrays.items, SPEC)
    np.testing.assert_array_equal(other.images(arrays.items), usual.images(arrays.items))
    assert other.digests(arrays.items) == usual.digests(arrays.items)


def test_all_bad_files_are_named_together_with_their_number_first(arrays: Arrays) -> None:
    bad = Arrays([None if n in (2, 30) else array for n, array in enumerate(arrays.arrays)])
    with pytest.raises(DataError) as error:
        ImageStore.load(bad, bad.items, SPEC)
    assert str(error.value).splitlines() == [
        "2 of 40 images cannot be used; nothing was started:",
        "i2: is damaged.",
        "i30: is damaged.",
    ]


def test_progress_is_told_after_every_image(arrays: Arrays) -> None:
    told: list[tuple[int, int]] = []
    ImageStore.load(arrays, arrays.items, SPEC, progress=lambda done, total: told.append((done, total)))
    assert told == [(n + 1, 40) for n in range(40)]


def test_files_decoded_on_many_threads_leave_the_warning_filters_alone(
    save: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    import warnings

    path = save("a.png", np.zeros((64, 64), dtype=np.uint8))
    before = list(warnings.filters)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=lambda: [decode(path) for _ in range(25)]) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert warnings.filters == before


# ----------------------------------------------------------------------------------- fingerprint and conflicts


def test_the_fingerprint_is_of_content_and_not_of_order(arrays: Arrays) -> None:
    items = arrays.items
    store = ImageStore.load(arrays, items, SPEC)
    first = split(items, train=slice(0, 10), test=slice(10, 40))
    backwards = split(items, train=slice(9, None, -1), test=slice(39, 9, -1))
    assert store.fingerprint(first) == store.fingerprint(
        backwards.__class__(first.classes, {name: tuple(reversed(part)) for name, part in first.items.items()}, 0, {})
    )
    assert len(store.fingerprint(first)) == 64


def test_the_fingerprint_follows_pixels_labels_groups_keys_and_splits(arrays: Arrays) -> None:
    def of(items: Sequence[Item], source: Arrays, **parts: slice) -> str:
        return ImageStore.load(source, items, SPEC).fingerprint(split(items, **parts))

    items, halves = arrays.items, {"train": slice(0, 20), "test": slice(20, 40)}
    changed = [array.copy() for array in arrays.arrays if array is not None]
    changed[7][0, 0] ^= 1
    prints = [
        of(items, arrays, **halves),
        of(items, Arrays(changed), **halves),
        of([replace(items[0], label="b"), *items[1:]], arrays, **halves),
        of([replace(items[0], group="other"), *items[1:]], arrays, **halves),
        of([replace(items[0], key="other"), *items[1:]], arrays, **halves),
        of(items, arrays, train=slice(0, 21), test=slice(21, 40)),
    ]
    assert len(set(prints)) == len(prints)
    assert of(items, Arrays([a.copy() for a in arrays.arrays if a is not None]), **halves) == prints[0]


def test_copies_under_two_labels_or_in_two_splits_are_found(arrays: Arrays) -> None:
    same = list(arrays.arrays)
    same[1] = same[0]  # a and b, both train
    same[22] = same[2]  # a and a, train and test
    source = Arrays(same)
    items = source.items
    store = ImageStore.load(source, items, SPEC)
    dataset = split(items, train=slice(0, 20), test=slice(20, 40))
    found = store.conflicts(dataset)
    assert list(found.labels.values()) == [(items[0], items[1])]
    assert list(found.splits.values()) == [(items[2], items[22])]
    assert list(found.splits) == [store.digests([items[2]])[0]]
    assert store.copies(dataset) == [
        "copies that carry more than one label, so one is wrong (1): i0 (a) = i1 (b).",
        "copies that stand in more than one split, pixel for pixel (1): i2 = i22.",
    ]


def test_copies_within_one_class_and_split_are_no_conflict(arrays: Arrays) -> None:
    same = list(arrays.arrays)
    same[2] = same[0]
    store = ImageStore.load(Arrays(same), arrays.items, SPEC)
    assert store.copies(split(arrays.items, train=slice(0, 20), test=slice(20, 40))) == []


@pytest.mark.parametrize("fitted", ["train", "select"])
def test_calibrating_on_a_copy_of_what_was_trained_or_selected_on_is_refused_by_name(
    arrays: Arrays, fitted: str
) -> None:
    same = list(arrays.arrays)
    same[22] = same[2]
    store = ImageStore.load(Arrays(same), arrays.items, SPEC)
    dataset = split(arrays.items, calibrate=slice(20, 30), **{fitted: slice(0, 20)})
    with pytest.raises(DataError, match=r"1 images to calibrate on are copies.*: i22\. Remove .* or give"):
        store.copies(dataset)
