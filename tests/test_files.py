"""Bundles change all at once, and are read only when every hash agrees."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path
from typing import Any

import pytest

from nearkin import files
from nearkin.errors import DamagedError, WorkFailed
from nearkin.files import read_bundle, save_bundle, to_json

FORMAT = {"format_name": "test bundle", "version": 1}
OLD = {"a.json": b"old a", "b.bin": b"old b"}
NEW = {"a.json": b"new a", "b.bin": b"old b", "c.bin": b"new c"}


def save(folder: Path, content: dict[str, bytes]) -> None:
    save_bundle(folder, content, {"n": len(content)}, **FORMAT)  # type: ignore[arg-type]


def read(folder: Path) -> dict[str, bytes]:
    return dict(read_bundle(folder, **FORMAT).files)  # type: ignore[arg-type]


def content_of(folder: Path) -> list[Path]:
    """Every file but the lock, which holds nothing."""
    return [path for path in folder.iterdir() if path.name != files.SAVING]


def write_often(folder: str, letter: str) -> None:
    for number in range(40):
        save(Path(folder), {f"{letter}.bin": letter.encode() * number, "shared.bin": letter.encode()})


def test_two_writers_take_turns_and_the_state_stays_whole(tmp_path: Path) -> None:
    writers = [multiprocessing.get_context("spawn").Process(target=write_often, args=(str(tmp_path), x)) for x in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert read(tmp_path)["shared.bin"] in (b"a", b"b")


def test_a_reader_that_meets_a_replaced_state_reads_the_new_one(tmp_path: Path) -> None:
    save(tmp_path, OLD)
    states = []

    def slowly(body: Any) -> Any:
        states.append(body["meta"]["n"])
        if len(states) == 1:
            save(tmp_path, NEW)
        return [files.read_confirmed(tmp_path, entry) for entry in body["files"].values()]

    assert files.read_whole(tmp_path, slowly, **FORMAT) == list(NEW.values())  # type: ignore[arg-type]
    assert states == [2, 3]


def test_what_was_saved_is_read_back(tmp_path: Path) -> None:
    save(tmp_path, OLD)
    assert read(tmp_path) == OLD
    save(tmp_path, NEW)
    assert read(tmp_path) == NEW
    assert len(content_of(tmp_path)) == 4, "files of the old state are gone"


def test_a_save_that_breaks_at_any_write_leaves_the_old_state_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = files.write_atomic
    for broken_call in range(len(NEW) + 1):
        folder = tmp_path / str(broken_call)
        save(folder, OLD)
        calls = iter(range(100))

        def failing(path: Path, data: bytes, broken: int = broken_call, calls: object = calls) -> None:
            if next(calls) == broken:  # type: ignore[call-overload]
                raise OSError(28, "No space left on device")
            real(path, data)

        with monkeypatch.context() as patch:
            patch.setattr(files, "write_atomic", failing)
            with pytest.raises(WorkFailed, match="could not be saved: No space left"):
                save(folder, NEW)
        assert read(folder) == OLD
        save(folder, NEW)
        assert read(folder) == NEW


@pytest.mark.parametrize("cut", [True, False])
def test_every_changed_or_cut_file_is_named(tmp_path: Path, cut: bool) -> None:
    save(tmp_path, OLD)
    for path in content_of(tmp_path):
        good = path.read_bytes()
        path.write_bytes(good[:-1] if cut else good[:-1] + bytes([good[-1] ^ 1]))
        with pytest.raises(DamagedError, match=path.name):
            read(tmp_path)
        path.write_bytes(good)
    assert read(tmp_path) == OLD


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    save(tmp_path, OLD)
    for path in content_of(tmp_path):
        good = path.read_bytes()
        path.unlink()
        with pytest.raises(DamagedError, match=path.name):
            read(tmp_path)
        path.write_bytes(good)


def test_a_manifest_that_points_outside_its_folder_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "bundle", OLD)
    (tmp_path / "secret").write_bytes(b"old a")
    manifest = tmp_path / "bundle" / "manifest.json"
    body = json.loads(manifest.read_bytes())
    del body["checksum"]
    body["files"]["a.json"]["file"] = "../secret"
    files.write_manifest(tmp_path / "bundle", body)
    with pytest.raises(DamagedError, match="outside"):
        read(tmp_path / "bundle")


def test_another_format_or_version_is_refused_by_name(tmp_path: Path) -> None:
    save(tmp_path, OLD)
    with pytest.raises(DamagedError, match="this is a test bundle, not a nearkin run"):
        read_bundle(tmp_path, format_name="nearkin run", version=1)
    with pytest.raises(DamagedError, match="reads version 2"):
        read_bundle(tmp_path, format_name="test bundle", version=2)


@pytest.mark.parametrize(
    "body",
    [
        [],
        {"files": []},
        {"files": {}, "meta": 7},
        {"files": {"a": None}, "meta": {}},
        {"files": {"a": {"file": 1, "sha256": "", "size": 0}}, "meta": {}},
        {"files": {"a": {"file": "a", "sha256": "", "size": True}}, "meta": {}},
    ],
)
def test_a_manifest_of_another_form_is_refused_though_its_checksum_agrees(tmp_path: Path, body: Any) -> None:
    rest = json.dumps(body, indent=1)[2:] if isinstance(body, dict) else ' "x": []}'
    checksum = files.sha256(("{\n" + rest).encode())
    (tmp_path / "manifest.json").write_text(f'{{\n "checksum": "{checksum}",\n{rest}')
    with pytest.raises(DamagedError, match=r"manifest\.json: its checksum agrees, but"):
        read(tmp_path)


def test_json_refuses_what_only_python_reads() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        to_json({"x": float("nan")})
