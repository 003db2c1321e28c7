"""Sources list every image they hold, and say where they looked."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from nearkin.contracts import InputSpec, parent_of
from nearkin.data import ImageStore, Item, load_data, open_source
from nearkin.errors import DataError
from nearkin.recipe.data_options import DataOptions

Save = Callable[..., Path]
Bytes8 = NDArray[np.uint8]


def folder(path: Path | str) -> DataOptions:
    return DataOptions(source="folder", path=str(path))


def trouble(said: DataOptions) -> str:
    with pytest.raises(DataError) as error:
        open_source(said)
    return str(error.value)


def test_digits_are_all_there_and_scaled_by_16() -> None:
    from sklearn.datasets import load_digits

    digits, source = load_digits(), open_source(DataOptions(source="digits"))
    assert len(source.items) == 1797
    assert source.items[17] == Item("digits/17", str(digits.target[17]), "digits/17", None, 17)
    picture = source.load(source.items[17])
    np.testing.assert_array_equal(picture.pixels, ((digits.images[17] / 16 * 255).round() / 255).astype(np.float32))
    assert picture.source == "digits/17"


def test_a_folder_a_class_gives_labels_as_written_in_order(save: Save, gray: Bytes8, tmp_path: Path) -> None:
    for name in ("007/b.png", "007/a.png", "cat/z.jpg", "cat/.hidden", "cat/Thumbs.db", ".git/x.png"):
        save(name, gray, format="PNG")
    source = open_source(folder(tmp_path))
    found = [(item.key, item.label, item.group, item.split) for item in source.items]
    assert found == [(key, key[:3], key, None) for key in ("007/a.png", "007/b.png", "cat/z.jpg")]
    assert source.load(source.items[0]).pixels.shape == gray.shape


def test_a_file_that_is_no_image_is_listed_and_so_told_as_bad(save: Save, gray: Bytes8, tmp_path: Path) -> None:
    save("cat/1.png", gray)
    (tmp_path / "cat" / "notes.txt").write_text("hello")
    source = open_source(folder(tmp_path))
    assert [item.key for item in source.items] == ["cat/1.png", "cat/notes.txt"]
    with pytest.raises(DataError, match=r"1 of 2 images cannot be used.*\n.*notes\.txt: is not an image"):
        ImageStore.load(source, source.items, InputSpec((8, 8), 1, (0.0,), (1.0,)))


def test_nested_folders_give_labels_with_what_they_lie_in(save: Save, gray: Bytes8, tmp_path: Path) -> None:
    for name in ("greek/alpha/1.png", "greek/beta/1.png", "latin/a/1.png", "flat/1.png"):
        save(name, gray)
    found = [(item.key, item.label, parent_of(item.label)) for item in open_source(folder(tmp_path)).items]
    assert sorted(found) == [
        ("flat/1.png", "flat", ""),
        ("greek/alpha/1.png", "greek/alpha", "greek"),
        ("greek/beta/1.png", "greek/beta", "greek"),
        ("latin/a/1.png", "latin/a", "latin"),
    ]


def test_a_pattern_says_what_an_image_s_group_is(save: Save, gray: Bytes8, tmp_path: Path) -> None:
    for name in ("greek/alpha/1_07.png", "greek/beta/2_07.png", "latin/a/3_07.png", "latin/a/4_12.png"):
        save(name, gray)
    said = folder(tmp_path).model_copy(update={"group": r"^(\w+)/.*_(\d+)\.png$"})
    assert [i.group for i in open_source(said).items] == ["greek/07", "greek/07", "latin/07", "latin/12"]
    wrong = said.model_copy(update={"group": r"greek/.*_(\d+)"})
    assert "fits 2 of 4 images, not these: latin/a/3_07.png, latin/a/4_12.png" in trouble(wrong)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"group": "(a"}, "no regular expression"),
        ({"group": "a"}, "needs brackets"),
        ({"group": "(a)", "source": "manifest"}, "group is for source 'folder'"),
        ({"select": "all"}, "select 'all' needs select_classes"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(wrong: dict[str, str], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        DataOptions.model_validate({"source": "folder", "path": "pets", **wrong})


def test_everything_misplaced_in_a_folder_is_told_at_once(save: Save, gray: Bytes8, tmp_path: Path) -> None:
    save("cat/siamese/1.png", gray)
    save("cat/1.png", gray)
    save("loose.png", gray)
    (tmp_path / "dog").mkdir()
    (tmp_path / "fish" / "cod").mkdir(parents=True)
    assert trouble(folder(tmp_path)).splitlines() == [
        f"{tmp_path}: files that are in no class folder: loose.png. Move or remove them.",
        f"{tmp_path}: folders with both images and folders inside: cat. "
        "A class's folder holds images alone; move the images or the folders.",
        f"{tmp_path}: class folders without images: dog, fish/cod. Fill or remove them.",
    ]


def test_a_folder_of_no_name_is_no_class(save: Save, gray: Bytes8, tmp_path: Path) -> None:
    save("cat/1.png", gray)
    save(" /1.png", gray)
    assert (
        trouble(folder(tmp_path))
        == f"{tmp_path}: folders whose name is blank, and a class has a name: ' '. Rename them."
    )


def test_a_link_that_leads_back_is_told(save: Save, gray: Bytes8, tmp_path: Path) -> None:
    save("cat/1.png", gray)
    (tmp_path / "pets" / "all").mkdir(parents=True)
    (tmp_path / "pets" / "all" / "again").symlink_to(tmp_path / "pets", target_is_directory=True)
    assert "leads back to" in trouble(folder(tmp_path))


def test_an_empty_folder_and_a_file_are_no_folder_of_classes(save: Save, gray: Bytes8, tmp_path: Path) -> None:
    assert "holds no class folders" in trouble(folder(tmp_path))
    assert "is not a folder" in trouble(folder(save("a.png", gray)))


@pytest.mark.skipif(os.name == "nt", reason="file names are text there, whatever they hold")
def test_names_that_are_no_text_are_told_readably(save: Save, gray: Bytes8, tmp_path: Path) -> None:
    image = save("cat/1.png", gray)
    os.rename(os.fsencode(image), os.fsencode(tmp_path / "cat") + b"/\xe4.png")  # noqa: PTH104  # a name in bytes
    said = trouble(folder(tmp_path))
    assert "names that are not UTF-8: cat/\\udce4.png" in said
    said.encode()


def test_a_relative_path_is_looked_up_where_nearkin_data_says(
    save: Save, gray: Bytes8, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save("here/pets/cat/1.png", gray)
    save("work/data/pets/dog/1.png", gray)
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("NEARKIN_DATA", str(tmp_path / "here"))
    assert [item.label for item in open_source(folder("pets")).items] == ["cat"]
    monkeypatch.delenv("NEARKIN_DATA")
    assert [item.label for item in open_source(folder("pets")).items] == ["dog"]
    assert [item.label for item in open_source(folder(tmp_path / "here" / "pets")).items] == ["cat"]


def test_a_path_that_is_not_there_is_told_with_the_mend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NEARKIN_DATA", raising=False)
    mend = "Set NEARKIN_DATA to the folder that holds it, or write an absolute path."
    told = f"data.path 'pets': there is no {Path('data/pets')}. NEARKIN_DATA is not set, so ./data is searched. {mend}"
    assert trouble(folder("pets")) == told
    monkeypatch.setenv("NEARKIN_DATA", str(tmp_path))
    assert f"there is no {tmp_path / 'pets'}. NEARKIN_DATA is {str(tmp_path)!r}. {mend}" in trouble(folder("pets"))
    gone = str(tmp_path / "gone")
    assert trouble(folder(gone)) == f"data.path {gone!r}: there is no {gone}. Correct the path."


def test_the_recipe_s_seed_draws_the_splits_unless_the_data_have_their_own() -> None:
    said = DataOptions(source="digits", known=("1", "7"))
    (_, by_recipe), (_, other) = load_data(said, 4), load_data(said, 5)
    _, by_data = load_data(said.model_copy(update={"seed": 4}), 5)
    assert by_recipe == by_data
    assert by_recipe != other


@pytest.mark.skipif("NEARKIN_DATA" not in os.environ, reason="NEARKIN_DATA names no folder with cxr3/")
def test_the_chest_x_rays_are_all_readable_and_split_as_their_publisher_did() -> None:
    said = DataOptions(source="manifest", path="cxr3/manifest.csv", known=("covid", "normal", "viral_pneumonia"))
    source, dataset = load_data(said, 0)
    assert Counter(item.split for item in source.items) == {"train": 251, "test": 66}
    assert {split: len(items) for split, items in dataset.items.items()} == {
        "train": 30, "select": 30, "calibrate": 60, "test": 66,
    }  # fmt: skip
    assert dataset.unused == 131
    assert {item.split for item in dataset.items["test"]} == {"test"}
    store = ImageStore.load(source, source.items, InputSpec((32, 32), 1, (0.0,), (1.0,)))
    assert store.images(source.items).shape == (317, 1, 32, 32)
    assert len(set(store.digests(source.items))) > 250


@pytest.mark.skipif("NEARKIN_DATA" not in os.environ, reason="NEARKIN_DATA names no folder with cxr3/")
def test_no_draw_of_the_chest_x_rays_calibrates_on_a_copy_of_what_trains() -> None:
    said = DataOptions(source="manifest", path="cxr3/manifest.csv")
    source, _ = load_data(said, 0)
    store = ImageStore.load(source, source.items, InputSpec((8, 8), 1, (0.0,), (1.0,)))
    for seed in range(40):
        store.conflicts(load_data(said, seed)[1]).refuse_flattering()
