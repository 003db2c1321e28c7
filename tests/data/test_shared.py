"""The images of a machine are decoded by one process and mapped by the others."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nearkin.data import ImageStore, Item
from nearkin.data.shared import load_once
from nearkin.errors import DataError

ITEMS = [Item(f"i{n}", "a", f"g{n}", None, n) for n in range(5)]


def decode(room: Callable[[tuple[int, ...]], Any]) -> ImageStore:
    images = room((5, 1, 4, 4))
    images[:] = np.arange(80, dtype=np.float32).reshape(5, 1, 4, 4)
    return ImageStore([item.key for item in ITEMS], images, [str(n) for n in range(5)])


def in_processes(folder: Path, load: Callable[..., ImageStore], count: int = 3) -> list[ImageStore | Exception]:
    """Threads stand for processes: each maps the file for itself."""
    barrier = threading.Barrier(count)
    found: list[Any] = [None] * count

    def one(rank: int) -> None:
        try:
            found[rank] = load_once(load, folder=folder, first=rank == 0, wait=lambda: barrier.wait(10) and None)
        except (DataError, ValueError) as error:
            found[rank] = error

    threads = [threading.Thread(target=one, args=(rank,)) for rank in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    return found


def test_one_process_decodes_and_all_see_the_same_images_and_no_file_is_left(tmp_path: Path) -> None:
    calls = []

    def load(room: Any) -> ImageStore:
        calls.append(1)
        return decode(room)

    stores = in_processes(tmp_path / "shared", load)
    assert len(calls) == 1
    for store in stores:
        assert isinstance(store, ImageStore)
        np.testing.assert_array_equal(store.all_images, np.arange(80, dtype=np.float32).reshape(5, 1, 4, 4))
        assert store.digests(ITEMS[3:]) == ("3", "4")
        assert isinstance(store.all_images, np.memmap)
    assert not (tmp_path / "shared").exists()


def test_where_the_first_process_fails_all_do_and_none_waits_for_ever(tmp_path: Path) -> None:
    def load(room: Any) -> ImageStore:
        decode(room)
        raise ValueError("two bad images")

    first, *others = in_processes(tmp_path / "shared", load)
    assert str(first) == "two bad images"
    assert all(isinstance(error, DataError) and "first process says which" in str(error) for error in others)
    assert not (tmp_path / "shared").exists()


@pytest.mark.parametrize("order", [[4, 0], [1], []])
def test_rows_lead_to_the_items_images(order: list[int]) -> None:
    store = decode(lambda shape: np.zeros(shape, np.float32))
    items = [ITEMS[n] for n in order]
    assert store.rows(items).tolist() == order
    np.testing.assert_array_equal(store.all_images[store.rows(items)], store.images(items))
