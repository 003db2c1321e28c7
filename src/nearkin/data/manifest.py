"""Manifests: a CSV file with path and label, optionally split and group; every bad line is told at once."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from pathlib import Path
from typing import cast, get_args

from nearkin.contracts import Split
from nearkin.data.items import Item
from nearkin.errors import DataError, did_you_mean, listing

REQUIRED, OPTIONAL = ("path", "label"), ("split", "group")
SPLITS = get_args(Split)


def read_manifest(path: Path) -> tuple[Item, ...]:
    """The items of a manifest, in its order.

    Paths are relative to the manifest's folder, or absolute. Labels and groups are taken exactly as written; an
    empty group is the item's own. Columns of other names and blank lines are not used.
    """
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "is no file"
        raise DataError(f"{path}: {what}; source 'manifest' wants a CSV file.")
    lines = _read_lines(path)
    columns = lines[0][1] if lines else []
    problems = _header_problems(columns)
    if problems:
        raise DataError("\n".join(f"{path}:1: {problem}" for problem in problems))
    if len(lines) < 2:
        raise DataError(f"{path}: lists no images; its first line names the columns, each other one an image.")
    first_line: dict[str, int] = {}
    items = []
    for line, fields in lines[1:]:
        row = dict(zip(columns, fields, strict=False))
        found = _row_problems(row, len(fields), len(columns)) or _repeated(path.parent, row, line, first_line)
        problems += [f"{path}:{line}: {problem}" for problem in found]
        if not found:
            items.append(_item(path.parent, row))
    if problems:
        raise DataError("\n".join(problems))
    return tuple(items)


def _read_lines(path: Path) -> list[tuple[int, list[str]]]:
    """(line number, fields) of every line that is not blank."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        try:
            return [(reader.line_num, fields) for fields in reader if fields]
        except csv.Error as error:
            raise DataError(f"{path}:{reader.line_num}: cannot be read as CSV: {error}.") from error
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: is not in UTF-8 ({error}); save it as UTF-8.") from error


def _header_problems(columns: list[str]) -> list[str]:
    """The columns that are needed must be there, each once."""
    separated = " Columns are separated by commas." if len(columns) == 1 and {*columns[0]} & {*";\t|"} else ""
    there = f"The columns are {listing(columns) or 'none'}.{separated}"
    missing = [name for name in REQUIRED if name not in columns]
    twice = [name for name in (*REQUIRED, *OPTIONAL) if columns.count(name) > 1]
    problems = [f"there is no column {name!r}.{did_you_mean(name, columns)} {there}" for name in missing]
    return problems + [f"the column {name!r} stands there twice. Rename one." for name in twice]


def _row_problems(row: Mapping[str, str], n_fields: int, n_columns: int) -> list[str]:
    if n_fields != n_columns:
        return [f"{n_fields} fields for {n_columns} columns; quote fields that hold commas."]
    problems = [f"the {name} is empty." for name in REQUIRED if not row[name].strip()]
    split = row.get("split", "")
    if split and split not in SPLITS:
        known = f"Splits are {', '.join(SPLITS)}, or nothing."
        problems.append(f"unknown split {split!r}.{did_you_mean(split, SPLITS)} {known}")
    return problems


def _repeated(folder: Path, row: Mapping[str, str], line: int, first_line: dict[str, int]) -> list[str]:
    """Two lines with one file, however its path is written; `first_line` remembers them."""
    first = first_line.setdefault(os.path.normpath(folder / row["path"]), line)
    return [] if first == line else [f"the path {row['path']!r} stood in line {first} already. Delete one of them."]


def _item(folder: Path, row: Mapping[str, str]) -> Item:
    key, group = row["path"], row.get("group", "")
    split = cast(Split, row["split"]) if row.get("split") else None
    return Item(key, row["label"], group if group.strip() else key, split, folder / key)
