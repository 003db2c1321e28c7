"""The one way to disk: bundles of files that change all at once, and are read only when their hashes agree.

A bundle is a folder whose `manifest.json` names its files with sha256 and size, and carries its own checksum.
Saving writes new files under new names, flushes them, and makes them current by one rename of the manifest:
before that rename the old state is whole, after it the new one.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, TypeVar

from filelock import FileLock, Timeout

from nearkin.errors import DamagedError, WorkFailed
from nearkin.streams import in_place, write_hashed
from nearkin.writable import explaining

MANIFEST = "manifest.json"
SAVING = ".saving.lock"
"""Held while a bundle is written: two writers take turns, and the second one's state stays."""
LOCK_SUFFIX = ".lock"
PATIENCE_SECONDS = 60
MAX_MANIFEST_BYTES = 8 * 2**20
"""JSON takes up to thirty times its size in memory, and a manifest is read before anything else is known."""
MOST_STATES_MET = 1000
"""How often a reader starts again because a writer was faster."""
CHECKSUM = re.compile(rb'\{\n "checksum": "([0-9a-f]{64})",\n')
"""How a manifest begins: keys are sorted, so its checksum comes first and covers all that follows."""

T = TypeVar("T")
AnyBytes = TypeVar("AnyBytes", bytes, memoryview)
Content: TypeAlias = "bytes | Callable[[BinaryIO], None]"
"""A file's bytes, or what writes them piece by piece where they are many."""


def sha256(data: bytes | memoryview) -> str:
    """Hex digest."""
    return hashlib.sha256(data).hexdigest()


def to_json(value: Any) -> bytes:
    """Canonical, readable JSON. NaN and infinity are errors: no reader but Python's takes them."""
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
    # The name of a file that is no UTF-8 has halves of characters: Python's escape of one, \udcff, is JSON's too.
    return text.encode(errors="backslashreplace")


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries, so that a rename survives a power cut (a no-op where folders cannot be opened)."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomic(path: Path, data: bytes) -> None:
    """Write and flush under a temporary name in the same folder, then rename: old or new, never half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


@dataclass(frozen=True)
class Bundle:
    """A bundle as read: every file confirmed by its hash."""

    meta: Mapping[str, Any]
    """The manifest's own content."""
    files: Mapping[str, bytes]
    mapped: Mapping[str, memoryview]
    """Those that were asked for in place."""
    version: int
    state: str
    """What tells this state of the folder from every other: its manifest's checksum."""


def save_bundle(
    folder: Path,
    files: Mapping[str, Content],
    meta: Mapping[str, Any],
    *,
    format_name: str,
    version: int,
    fixed_names: bool = False,
) -> None:
    """Make `files` (logical name -> content) and `meta` the folder's current state.

    With `fixed_names` a file keeps its logical name on disk, for folders that are written once; otherwise the
    name carries the content's hash, so that the old state's files stay untouched until the rename.
    """
    body = {"format": format_name, "version": version, "meta": dict(meta)}
    with explaining(folder):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(folder / SAVING, timeout=PATIENCE_SECONDS):
                _save(folder, files, body, fixed_names)
        except Timeout as error:
            raise WorkFailed(f"{folder}: another process has been writing here for {PATIENCE_SECONDS} s.") from error


def _save(folder: Path, files: Mapping[str, Content], body: Mapping[str, Any], fixed_names: bool) -> None:
    entries: dict[str, dict[str, Any]] = {}
    try:
        for name, content in files.items():
            entries[name] = _written(folder, name, content, fixed_names)
        write_manifest(folder, {**body, "files": entries})
    finally:
        if not fixed_names:
            _remove_unlisted(folder)


def _written(folder: Path, name: str, content: Content, fixed_name: bool) -> dict[str, Any]:
    """One file on disk, and what the manifest says of it."""
    if isinstance(content, bytes):
        digest, size = sha256(content), len(content)
    else:
        temporary, digest, size = write_hashed(folder, name, content)
    stem, dot, ending = name.partition(".")
    on_disk = name if fixed_name else f"{stem}-{digest[:16]}{dot}{ending}"
    if isinstance(content, bytes):
        write_atomic(folder / on_disk, content)
    else:
        temporary.replace(folder / on_disk)
    return {"file": on_disk, "sha256": digest, "size": size}


def write_manifest(folder: Path, body: Mapping[str, Any]) -> None:
    """Add the manifest's own checksum and make it current."""
    write_atomic(folder / MANIFEST, _with_checksum(body))


def _with_checksum(body: Mapping[str, Any]) -> bytes:
    rest = {key: value for key, value in body.items() if key != "checksum"}
    return to_json({**rest, "checksum": sha256(to_json(rest))})


def confirmed_checksum(manifest: bytes) -> str | None:
    """The checksum that a manifest begins with, where all that follows agrees with it. Nothing is parsed."""
    said = CHECKSUM.match(manifest)
    if said is None or sha256(b"{\n" + manifest[said.end() :]) != said[1].decode():
        return None
    return said[1].decode()


def _remove_unlisted(folder: Path) -> None:
    """Remove what an earlier state or a broken save left behind; only files that a bundle writes."""
    manifest = folder / MANIFEST
    body = _parsed(manifest.read_bytes()) if manifest.is_file() else {"files": {}}
    if body is None:
        return
    keep = {MANIFEST, *(entry["file"] for entry in body["files"].values())}
    for path in folder.iterdir():
        if path.is_file() and path.suffix != LOCK_SUFFIX and path.name not in keep:
            with suppress(OSError):  # what is listed is whole; the next save tries again
                path.unlink()


def read_manifest(folder: Path, *, format_name: str, version: int, older: Collection[int] = ()) -> dict[str, Any]:
    """The manifest, once its checksum, format and version are confirmed. `older` versions the caller migrates."""
    path = folder / MANIFEST
    if not path.is_file():
        raise DamagedError(f"{folder}: there is no {MANIFEST}, so this is no {format_name}, or it was never finished.")
    if path.stat().st_size > MAX_MANIFEST_BYTES:
        raise DamagedError(f"{path}: larger than {MAX_MANIFEST_BYTES} bytes; refused before reading.")
    data = path.read_bytes()
    if confirmed_checksum(data) is None:
        raise DamagedError(f"{path}: changed since it was written (its checksum disagrees). Restore it from a copy.")
    body = _parsed(data)
    if body is None:
        raise DamagedError(f"{path}: its checksum agrees, but it is no manifest that nearkin wrote. Refused.")
    if body.get("format") != format_name:
        raise DamagedError(f"{path}: this is a {body.get('format')}, not a {format_name}.")
    if body.get("version") not in {version, *older}:
        raise DamagedError(
            f"{path}: format version {body.get('version')}; this nearkin reads version {version}. "
            "Open it with the nearkin that wrote it."
        )
    return body


def _parsed(manifest: bytes) -> dict[str, Any] | None:
    """A manifest's body, or None where it has not the form that `save_bundle` gives it."""
    try:
        body = json.loads(manifest)
        entries = body["files"].values()
        formed = isinstance(body["meta"], dict) and all(map(_is_entry, entries))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return dict(body) if formed else None


def _is_entry(entry: Any) -> bool:
    return {key: type(value) for key, value in entry.items()} == {"file": str, "sha256": str, "size": int}


def read_bundle(
    folder: Path, *, format_name: str, version: int, older: Collection[int] = (), mapped: Collection[str] = ()
) -> Bundle:
    """Everything the manifest names, or an error that names the file that is missing, cut or changed.

    `older`: versions that the caller migrates. `mapped`: files that may be larger than memory, given in place.
    """

    def read(body: Mapping[str, Any]) -> Bundle:
        entries = body["files"].items()
        files = {name: read_confirmed(folder, entry) for name, entry in entries if name not in mapped}
        views = {name: map_confirmed(folder, entry) for name, entry in entries if name in mapped}
        return Bundle(body["meta"], files, views, version=body["version"], state=body["checksum"])

    return read_whole(folder, read, format_name=format_name, version=version, older=older)


def read_whole(
    folder: Path,
    read: Callable[[Mapping[str, Any]], T],
    *,
    format_name: str,
    version: int,
    older: Collection[int] = (),
) -> T:
    """What `read` makes of the manifest's body and the files it names, all of one state.

    A writer may replace the state meanwhile and remove its files: then the new state is read instead.
    """
    body = read_manifest(folder, format_name=format_name, version=version, older=older)
    for _ in range(MOST_STATES_MET):
        try:
            return read(body)
        except DamagedError:
            newer = read_manifest(folder, format_name=format_name, version=version, older=older)
            if newer == body:
                raise
            body = newer
    raise WorkFailed(f"{folder}: was replaced {MOST_STATES_MET} times while it was read. Try again.")


def read_confirmed(folder: Path, entry: Mapping[str, Any]) -> bytes:
    """One listed file: its size checked before it is read, its hash before it is handed out."""
    return _confirmed(folder, entry, Path.read_bytes)


def map_confirmed(folder: Path, entry: Mapping[str, Any]) -> memoryview:
    """The same, in place."""
    return _confirmed(folder, entry, in_place)


def _confirmed(folder: Path, entry: Mapping[str, Any], read: Callable[[Path], AnyBytes]) -> AnyBytes:
    name = str(entry["file"])
    if name != Path(name).name:
        raise DamagedError(f"{folder / MANIFEST}: names a file outside its folder ({name!r}); refused.")
    path = folder / name
    if not path.is_file():
        raise DamagedError(f"{path}: missing. The manifest lists it; restore it from a copy.")
    try:
        size = path.stat().st_size
        data = read(path) if size == entry["size"] else None
    except FileNotFoundError as error:
        raise DamagedError(f"{path}: went away while it was read.") from error
    if data is None:
        raise DamagedError(f"{path}: {size} bytes, but the manifest says {entry['size']}. Restore it from a copy.")
    if sha256(data) != entry["sha256"]:
        raise DamagedError(f"{path}: changed since it was written (its sha256 disagrees). Restore it from a copy.")
    return data
