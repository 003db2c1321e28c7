"""Files that are the same byte for byte count as one group, so no draw puts copies on two sides."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nearkin.contracts import Split
from nearkin.data import Item, load_data
from nearkin.data.copies import group_copies
from nearkin.recipe.data_options import DataOptions


def item(path: Path, content: str, group: str = "", split: Split | None = None) -> Item:
    path.write_text(content)
    return Item(path.name, "a", group or path.name, split, path)


def groups(*items: Item) -> list[str]:
    return [item.group for item in group_copies(items)]


def test_files_with_the_same_bytes_become_one_group(tmp_path: Path) -> None:
    assert groups(*(item(tmp_path / name, text) for name, text in [("x", "one"), ("y", "two"), ("z", "one")])) == [
        "x",
        "y",
        "x",
    ]


def test_patients_who_share_a_file_become_one_group_with_all_their_images(tmp_path: Path) -> None:
    rows = [("1", "one", "ann"), ("2", "two", "ann"), ("3", "two!", "ben"), ("4", "one", "ben"), ("5", "five", "cy")]
    assert groups(*(item(tmp_path / name, text, group) for name, text, group in rows)) == ["ann"] * 4 + ["cy"]


def test_copies_that_the_source_marks_for_different_splits_stay_as_they_are(tmp_path: Path) -> None:
    marked = item(tmp_path / "x", "one", split="test"), item(tmp_path / "y", "one", split="train")
    assert groups(*marked, item(tmp_path / "z", "one")) == ["x", "y", "y"]


def test_missing_files_and_images_in_memory_keep_their_groups(tmp_path: Path) -> None:
    gone = Item("gone", "a", "gone", None, tmp_path / "gone")
    assert group_copies([gone, Item("digits/0", "0", "digits/0", None, 0)]) == (
        gone,
        Item("digits/0", "0", "digits/0", None, 0),
    )


def test_files_that_cannot_be_looked_at_or_read_are_left_to_the_decoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(path: Path, *_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    endless = Item("endless", "a", "endless", None, tmp_path / ("x" * 300))
    same = item(tmp_path / "x", "one"), item(tmp_path / "y", "one")
    monkeypatch.setattr(Path, "open", closed)
    assert groups(endless, *same) == ["endless", "x", "y"]


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("pqrst")), max_size=12), st.randoms())
def test_groups_join_along_chains_whatever_the_order(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], shuffle: random.Random
) -> None:
    folder = tmp_path_factory.mktemp("chain")
    items = [item(folder / f"{n}", content, group) for n, (content, group) in enumerate(rows)]
    joined = group_copies(items)
    assert [(i.key, i.label, i.place) for i in joined] == [(i.key, i.label, i.place) for i in items]
    for was, now in zip(items, joined, strict=True):
        for other_was, other_now in zip(items, joined, strict=True):
            if was.group == other_was.group or was.place.read_bytes() == other_was.place.read_bytes():  # type: ignore[union-attr]  # paths here
                assert now.group == other_now.group
    shuffled = items.copy()
    shuffle.shuffle(shuffled)
    assert sorted(group_copies(shuffled), key=lambda i: i.key) == sorted(joined, key=lambda i: i.key)


@pytest.mark.parametrize("seed", range(8))
def test_no_draw_parts_copies(tmp_path: Path, seed: int) -> None:
    for label in "ab":
        (tmp_path / label).mkdir()
        for n in range(12):
            (tmp_path / label / f"{n}.png").write_text(f"{label} {n // 2}")
    options = DataOptions(source="folder", path=str(tmp_path), shots=4, select=2, calibrate=4)
    _, dataset = load_data(options, seed)
    contents = [{i.place.read_text() for i in items} for items in dataset.items.values()]  # type: ignore[union-attr]  # paths here
    assert sum(map(len, contents)) == len(set().union(*contents))
