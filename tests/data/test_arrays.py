"""A .npz file of images: MedMNIST's layout and the plain one; what it cannot mean is refused by name."""

from __future__ import annotations

import io
import os
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nearkin.data import decode, load_data
from nearkin.data.arrays import Arrays
from nearkin.data.images import BadImage
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
    groups = np.array(["p1", "p1", "", " "] * 3)
    items = Arrays(saved(tmp_path, images=IMAGES, labels=LABELS, groups=groups)).items
    assert items[0].group == items[1].group == "p1"
    assert [item.group for item in items[2:4]] == [item.key for item in items[2:4]]


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
        ({"images": IMAGES, "labels": np.array([None] * 12)}, "plain arrays: labels: it holds Python objects"),
        ({"images": np.array(["a.png"] * 12), "labels": LABELS}, "images is <U5, wants numbers"),
        ({"images": IMAGES.astype(complex), "labels": LABELS}, "images is complex128, wants numbers"),
        ({"images": np.uint8(3), "labels": LABELS}, r"images has the shape \(\), wants"),
        ({"images": IMAGES.reshape(12, 64), "labels": LABELS}, r"images has the shape \(12, 64\), wants"),
        ({"images": IMAGES[:, :0], "labels": LABELS}, r"images has the shape \(12, 0, 8\), wants"),
        ({"images": IMAGES, "labels": np.int64(1)}, r"labels is int64 of shape \(\)"),
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


def test_one_npy_array_is_no_npz(tmp_path: Path) -> None:
    np.save(tmp_path / "set.npy", IMAGES)
    with pytest.raises(DataError, match=r"is one \.npy array; save images and labels"):
        Arrays((tmp_path / "set.npy").rename(tmp_path / "set.npz"))


def test_a_folder_is_no_npz(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is no file"):
        Arrays(tmp_path)


def test_a_csv_file_is_refused_without_the_advice_to_load_it_unsafely(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    path.write_text("path,label\na.png,b\n")
    with pytest.raises(DataError, match="it is of another format") as refused:
        Arrays(path)
    assert "pickle" not in str(refused.value)


def test_damaged_compressed_data_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    np.savez_compressed(path, images=IMAGES, labels=LABELS)
    raw = bytearray(path.read_bytes())
    raw[100:140] = b"\xff" * 40
    path.write_bytes(raw)
    with pytest.raises(DataError, match="plain arrays: images: it is damaged"):
        Arrays(path)


def with_header_bytes(path: Path, *, local: int, central: int, value: int) -> Path:
    """The first member's two headers, each with one byte changed."""
    raw = bytearray(path.read_bytes())
    raw[local] = raw[raw.find(b"PK\x01\x02") + central] = value
    path.write_bytes(raw)
    return path


def test_an_encrypted_array_is_refused(tmp_path: Path) -> None:
    path = with_header_bytes(saved(tmp_path, images=IMAGES, labels=LABELS), local=6, central=8, value=1)
    with pytest.raises(DataError, match=r"images: File 'images\.npy' is encrypted.*Save the file anew"):
        Arrays(path)


def test_an_unknown_compression_is_refused(tmp_path: Path) -> None:
    path = with_header_bytes(saved(tmp_path, images=IMAGES, labels=LABELS), local=8, central=10, value=99)
    with pytest.raises(DataError, match="images: That compression method is not supported"):
        Arrays(path)


def test_all_members_that_are_no_arrays_are_named_together(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "set.npz", "w") as file:
        file.writestr("images.npy", b"no array")
        file.writestr("labels.npy", b"")
    with pytest.raises(DataError, match=r"(?s)images: it is damaged or no \.npy.*labels: it is damaged or no \.npy"):
        Arrays(tmp_path / "set.npz")


def test_an_array_that_claims_more_than_memory_holds_is_refused(tmp_path: Path) -> None:
    header = io.BytesIO()
    huge = {"descr": "|u1", "fortran_order": False, "shape": (2**20, 2**20, 2**20)}
    np.lib.format.write_array_header_1_0(header, huge)
    with zipfile.ZipFile(tmp_path / "set.npz", "w") as file:
        file.writestr("images.npy", header.getvalue())
        file.writestr("labels.npy", b"")
    with pytest.raises(DataError, match="images: "):
        Arrays(tmp_path / "set.npz")


def test_what_has_no_meaning_is_not_read(tmp_path: Path) -> None:
    path = saved(tmp_path, images=IMAGES, labels=LABELS, notes=np.array([{"of": "Monday"}]))
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("README.txt", "Images of Monday.")
    assert len(Arrays(path).items) == 12


def test_each_bad_image_is_named_by_its_key(tmp_path: Path) -> None:
    images = IMAGES.astype(np.float32)
    images[[3, 5]] = np.nan
    source = Arrays(saved(tmp_path, images=images, labels=LABELS))
    for row in (3, 5):
        with pytest.raises(BadImage, match=rf"^set\.npz/images/{row}: holds 64 pixels that are NaN") as bad:
            source.load(source.items[row])
        assert bad.value.source == source.items[row].key


@pytest.mark.parametrize("name", ["labels", "test_labels", "val_groups"])
def test_labels_and_groups_without_images_are_refused(tmp_path: Path, name: str) -> None:
    path = saved(tmp_path, train_images=IMAGES, train_labels=LABELS, **{name: LABELS})
    images = name.replace("labels", "images").replace("groups", "images")
    with pytest.raises(DataError, match=f"holds {name} and no {images}"):
        Arrays(path)


def test_empty_labels_are_refused_with_their_rows(tmp_path: Path) -> None:
    labels = np.array(["a", "", "b", "  "] * 3)
    with pytest.raises(
        DataError, match="labels: the label is empty in 6 of 12 rows, counted from 0: 1, 3, 5, 7, 9, 11"
    ):
        Arrays(saved(tmp_path, images=IMAGES, labels=labels))


def test_the_problems_of_all_parts_are_told_together(tmp_path: Path) -> None:
    path = saved(
        tmp_path, train_images=IMAGES, train_labels=LABELS[:5], test_images=IMAGES.astype(str), test_labels=LABELS
    )
    with pytest.raises(DataError, match=r"(?s)train_labels holds 5.*\n.*set\.npz: test_images is <U3, wants numbers"):
        Arrays(path)


@pytest.mark.parametrize("dtype", [np.int64, np.float32, np.int16])
def test_it_says_where_each_image_is_stretched_for_itself(tmp_path: Path, dtype: Any) -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 5, 5))
    np.savez(tmp_path / "wide.npz", images=images.astype(dtype), labels=[0, 0, 1, 1])
    (note,) = Arrays(tmp_path / "wide.npz").notes
    assert f"images is {np.dtype(dtype)} from 0 to 25" in note
    assert "each image goes from its own least value to its largest" in note


@pytest.mark.parametrize("made", [lambda x: x.astype(np.uint8), lambda x: x.astype(np.uint16), lambda x: x / 255])
def test_it_says_nothing_where_values_keep_their_meaning(tmp_path: Path, made: Any) -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 5, 5))
    np.savez(tmp_path / "plain.npz", images=made(images), labels=[0, 0, 1, 1])
    assert Arrays(tmp_path / "plain.npz").notes == ()


@pytest.mark.skipif("NEARKIN_DATA" not in os.environ, reason="NEARKIN_DATA names no folder with pneumoniamnist.npz")
def test_pneumoniamnist_opens_and_splits() -> None:
    options = DataOptions(source="npz", path="pneumoniamnist.npz", shots=10, select=10, calibrate=20)
    _, dataset = load_data(options, 0)
    assert dataset.classes == ("0", "1")
    assert len(dataset.items["test"]) == 468
    assert {item.split for item in dataset.items["select"]} == {"select"}
