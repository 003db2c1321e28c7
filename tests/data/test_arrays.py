"""A .npz file of images: MedMNIST's layout and the plain one; what it cannot mean is refused by name."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nearkin.data import decode, load_data
from nearkin.data.arrays import Arrays
from nearkin.errors import DataError
from nearkin.recipe.data_options import DataOptions

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 8, 8), dtype=np.uint8)
LABELS = np.array([0, 1] * 6)


def saved(folder: Path, **arrays: Any) -> Path:
    np.savez(folder / "set.npz", **arrays)
    return folder / "set.npz"


def test_plain_images_and_labels_become_items(tmp_path: Path) -> None:
    source = Arrays(saved(tmp_path, images=IMAGES, labels=LABELS))
    assert [item.label for item in source.items] == ["0", "1"] * 6
    assert {item.split for item in source.items} == {None}
    assert source.load(source.items[3]).digest == decode(IMAGES[3]).digest


def test_labels_that_are_text_stay_as_written(tmp_path: Path) -> None:
    source = Arrays(saved(tmp_path, images=IMAGES, labels=np.array(["007", "8"] * 6)))
    assert source.items[0].label == "007"


def test_groups_are_taken_and_an_empty_one_is_the_images_own(tmp_path: Path) -> None:
    groups = np.array(["p1", "p1", ""] * 4)
    items = Arrays(saved(tmp_path, images=IMAGES, labels=LABELS, groups=groups)).items
    assert items[0].group == items[1].group == "p1"
    assert items[2].group == items[2].key


def test_medmnists_parts_become_splits(tmp_path: Path) -> None:
    column = LABELS[:, None].astype(np.uint8)
    arrays = {
        f"{part}_{what}": a for part in ("train", "val", "test") for what, a in (("images", IMAGES), ("labels", column))
    }
    items = Arrays(saved(tmp_path, **arrays)).items
    assert Counter(item.split for item in items) == {"train": 12, "select": 12, "test": 12}


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"pictures": IMAGES}, "holds pictures; source 'npz' wants"),
        ({"images": IMAGES}, "holds images and no labels"),
        ({"images": IMAGES, "labels": LABELS[:5]}, "labels holds 5 for 12 images"),
        ({"images": IMAGES, "labels": np.zeros((12, 14), int)}, "Several labels are not"),
        ({"images": IMAGES, "labels": np.array([None] * 12)}, "cannot be read as a .npz file of plain arrays"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(tmp_path: Path, arrays: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        Arrays(saved(tmp_path, **arrays))


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 cut"])
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "set.npz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"cannot be read as a \.npz"):
        Arrays(path)


@pytest.mark.skipif("NEARKIN_DATA" not in os.environ, reason="NEARKIN_DATA names no folder with pneumoniamnist.npz")
def test_pneumoniamnist_opens_and_splits() -> None:
    options = DataOptions(source="npz", path="pneumoniamnist.npz", shots=10, select=10, calibrate=20)
    _, dataset = load_data(options, 0)
    assert dataset.classes == ("0", "1")
    assert len(dataset.items["test"]) == 468
    assert {item.split for item in dataset.items["select"]} == {"select"}
