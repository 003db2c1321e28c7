"""Random damage to the files of a bundle and of the bundles inside it: a byte changed, or the rest cut off."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nearkin.files import CHECKSUM, MANIFEST, sha256, write_manifest

HEAD = 200
"""Bytes at a file's beginning, where formats keep their sizes."""


@dataclass(frozen=True)
class Damage:
    """One change of one file, found again by its seed."""

    path: Path
    at: int
    byte: int | None
    """None: cut here."""

    def applied(self, data: bytes) -> bytes:
        if self.byte is None:
            return data[: self.at]
        return data[: self.at] + bytes([self.byte]) + data[self.at + 1 :]


def damages(folder: Path, n: int, seed: int) -> Iterator[Damage]:
    """n of them over every file below the folder, a third near a file's beginning, a fifth of them cuts."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size)  # locks are empty
    for number in range(n):
        rng = np.random.default_rng([seed, number])
        path = paths[number % len(paths)]
        data = path.read_bytes()
        size = min(len(data), HEAD) if rng.random() < 1 / 3 else len(data)
        at = int(rng.integers(size))
        yield Damage(path, at, None if rng.random() < 1 / 5 else data[at] ^ int(rng.integers(1, 256)))


def make_right(path: Path) -> None:
    """Let the manifest beside this file, or this manifest itself, confirm what the file holds now."""
    manifest = path.parent / MANIFEST
    if path == manifest:
        data = path.read_bytes()
        rest = data[len(head[0]) :] if (head := CHECKSUM.match(data)) else data[2:]
        checksum = sha256(b"{\n" + rest).encode()
        path.write_bytes(b'{\n "checksum": "' + checksum + b'",\n' + rest)
    else:
        data, body = path.read_bytes(), json.loads(manifest.read_bytes())
        for entry in body["files"].values():
            if entry["file"] == path.name:
                entry.update(sha256=sha256(data), size=len(data))
        write_manifest(path.parent, body)
