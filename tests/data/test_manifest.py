"""Manifests are read as written, and every line that cannot be is told with its place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nearkin.data import Item
from nearkin.data.manifest import read_manifest
from nearkin.errors import DataError

Write = Callable[..., Path]


@pytest.fixture
def manifest(tmp_path: Path) -> Write:
    def write(text: str, encoding: str = "utf-8") -> Path:
        path = tmp_path / "manifest.csv"
        path.write_bytes(text.encode(encoding))
        return path

    return write


def trouble(path: Path) -> list[str]:
    with pytest.raises(DataError) as error:
        read_manifest(path)
    return str(error.value).splitlines()


def test_rows_become_items_with_labels_and_groups_exactly_as_written(manifest: Write) -> None:
    path = manifest("path,label,split,group,source\nx/1.png,007,train,p 1,web\nx/2.png, b ,,,web\n")
    assert read_manifest(path) == (
        Item("x/1.png", "007", "p 1", "train", path.parent / "x/1.png"),
        Item("x/2.png", " b ", "x/2.png", None, path.parent / "x/2.png"),
    )


def test_split_and_group_are_optional_and_the_columns_in_any_order(manifest: Write) -> None:
    (item,) = read_manifest(manifest("label,path\ncat,1.png\n"))
    assert (item.key, item.label, item.group, item.split) == ("1.png", "cat", "1.png", None)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_byte_order_mark_and_windows_lines_change_nothing(manifest: Write, encoding: str, newline: str) -> None:
    (item,) = read_manifest(manifest(newline.join(["path,label", "é.png,größe", "", ""]), encoding))
    assert (item.key, item.label) == ("é.png", "größe")


def test_quoted_fields_may_hold_commas(manifest: Write) -> None:
    (item,) = read_manifest(manifest('path,label\n"a,b.png","x, y"\n'))
    assert (item.key, item.label) == ("a,b.png", "x, y")


def test_absolute_paths_are_taken_as_they_are(manifest: Write, tmp_path: Path) -> None:
    (item,) = read_manifest(manifest(f"path,label\n{tmp_path / 'far' / '1.png'},a\n"))
    assert item.place == tmp_path / "far" / "1.png"


def test_an_empty_group_is_the_item_s_own(manifest: Write) -> None:
    one, two = read_manifest(manifest("path,label,group\n1.png,a, \n2.png,a, \n"))
    assert (one.group, two.group) == ("1.png", "2.png")


def test_every_bad_line_is_told_at_once_with_its_place(manifest: Write) -> None:
    path = manifest(
        "path,label,split\n"
        "1.png,a,tran\n"  # 2
        ",a,test\n"
        "3.png, ,test\n"
        "4.png,a\n"
        "5.png,a,test,more\n"  # 6
        "\n"
        "8.png,a,\n"
        "./8.png,b,\n"  # 9
        "9.png,a,validation\n"
    )
    assert trouble(path) == [
        f"{path}:2: unknown split 'tran'. Did you mean 'train'? Splits are train, select, calibrate, test, or nothing.",
        f"{path}:3: the path is empty.",
        f"{path}:4: the label is empty.",
        f"{path}:5: 2 fields for 3 columns; quote fields that hold commas.",
        f"{path}:6: 4 fields for 3 columns; quote fields that hold commas.",
        f"{path}:9: the path './8.png' stood in line 8 already. Delete one of them.",
        f"{path}:10: unknown split 'validation'. Splits are train, select, calibrate, test, or nothing.",
    ]


def test_missing_columns_are_told_with_the_nearest_name(manifest: Write) -> None:
    path = manifest("Path,labels\n1.png,a\n")
    assert trouble(path) == [
        f"{path}:1: there is no column 'path'. Did you mean 'Path'? The columns are Path, labels.",
        f"{path}:1: there is no column 'label'. Did you mean 'labels'? The columns are Path, labels.",
    ]


def test_a_column_that_stands_there_twice_is_refused(manifest: Write) -> None:
    assert "the column 'label' stands there twice" in trouble(manifest("path,label,label\n1.png,a,b\n"))[0]


def test_other_separators_are_told(manifest: Write) -> None:
    assert all("Columns are separated by commas." in line for line in trouble(manifest("path;label\n1.png;a\n")))


@pytest.mark.parametrize(("text", "said"), [("", "there is no column 'path'"), ("path,label\n", "lists no images")])
def test_an_empty_manifest_is_refused(manifest: Write, text: str, said: str) -> None:
    assert said in trouble(manifest(text))[0]


def test_text_that_is_no_utf_8_or_no_csv_is_refused(manifest: Write) -> None:
    assert "is not in UTF-8" in trouble(manifest("path,label\nä.png,a\n", "latin-1"))[0]
    path = manifest('path,label\n"1.png,a\n')
    assert trouble(path)[0].startswith(f"{path}:2: cannot be read as CSV")


def test_a_folder_is_no_manifest(tmp_path: Path) -> None:
    assert trouble(tmp_path) == [f"{tmp_path}: is a folder; source 'manifest' wants a CSV file."]


text = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/"), min_size=1, max_size=8).filter(
    str.strip
)


@settings(deadline=None, max_examples=50)
@given(rows=st.lists(st.tuples(text, text), min_size=1, max_size=5))
def test_any_text_comes_back_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    path = tmp_path_factory.mktemp("csv") / "manifest.csv"
    quoted = [",".join('"' + field.replace('"', '""') + '"' for field in row) for row in rows]
    # A prefix of its own keeps every path another one.
    path.write_text("path,label\n" + "\n".join(f'"{n}-{line[1:]}' for n, line in enumerate(quoted)), encoding="utf-8")
    found = [(item.key, item.label) for item in read_manifest(path)]
    assert found == [(f"{n}-{key}", label) for n, (key, label) in enumerate(rows)]
