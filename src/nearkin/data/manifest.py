"""Manifests: a CSV file with path and label, optionally split and group; every bad line is told at once."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import cast, get_args

from nearkin.contracts import Split
from nearkin.data.items import Item
from nearkin.errors import DataError, did_you_mean, listing

REQUIRED, OPTIONAL = ("path", "label"), ("split", "group")
SPLITS = get_args(Split)


def read_manifest(path: Path) -> tuple[Item, ...]:
    """The items of a manifest, in its order. Paths are relative to its folder; columns of other names are not used."""
    if not path.is_file():
        raise DataError(f"{path}: is a folder; source 'manifest' wants a CSV file.")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            lines = [(reader.line_num, fields) for fields in reader if fields]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as CSV in UTF-8: {error}.") from error
    if len(lines) < 2:
        raise DataError(f"{path}: lists no images; its first line names the columns, each other one an image.")
    columns = _columns(path, lines[0][1])
    problems: list[str] = []
    first_line: dict[str, int] = {}
    items = []
    for line, fields in lines[1:]:
        row = dict(zip(columns, fields, strict=False))
        found = _row_problems(row, len(fields), len(columns), first_line)
        problems += [f"{path}:{line}: {problem}" for problem in found]
        first_line.setdefault(row.get("path", ""), line)
        if not found:
            items.append(_item(path.parent, row))
    if problems:
        raise DataError("\n".join(problems))
    return tuple(items)


def _columns(path: Path, columns: list[str]) -> list[str]:
    """The header's names; those that are needed must be there, each once."""
    problems = [
        f"{path}:1: there is no column {name!r}.{did_you_mean(name, columns)} The columns are {listing(columns)}."
        for name in REQUIRED
        if name not in columns
    ]
    problems += [
        f"{path}:1: the column {name!r} stands there twice."
        for name in (*REQUIRED, *OPTIONAL)
        if columns.count(name) > 1
    ]
    if problems:
        raise DataError("\n".join(problems))
    return columns


def _row_problems(row: dict[str, str], n_fields: int, n_columns: int, first_line: dict[str, int]) -> list[str]:
    if n_fields != n_columns:
        return [f"{n_fields} fields for {n_columns} columns; quote fields that hold commas."]
    problems = [f"the {name} is empty." for name in REQUIRED if not row[name].strip()]
    split = row.get("split", "")
    if split and split not in SPLITS:
        problems.append(f"unknown split {split!r}.{did_you_mean(split, SPLITS)} There are {', '.join(SPLITS)}, or none.")
    if row["path"] and row["path"] in first_line:
        problems.append(f"the path {row['path']!r} stood in line {first_line[row['path']]} already.")
    return problems


def _item(folder: Path, row: dict[str, str]) -> Item:
    key = row["path"]
    split = cast(Split, row["split"]) if row.get("split") else None
    return Item(key, row["label"], row.get("group") or key, split, folder / key)
