"""Claims about an index on disk: it answers as before, damage is named, a crash leaves the old state whole."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save as save_tensors

from nearkin.errors import DamagedError, IndexCallError, PluginError, WorkFailed
from nearkin.files import read_bundle, save_bundle, to_json
from nearkin.index import Index, load, save
from nearkin.index import storage as storage_module
from nearkin.index.opening import edit
from nearkin.index.tensors import read_tensors, write_tensors

Draw = Callable[..., Any]


def rewritten(folder: Path, name: str, data: bytes | None, **meta: Any) -> None:
    """A bundle whose hashes agree, but which no index would have written."""
    bundle = read_bundle(folder, format_name="nearkin index", version=2)
    files = {**bundle.files, name: data}
    kept = {key: value for key, value in files.items() if value is not None}
    save_bundle(folder, kept, {**bundle.meta, **meta}, format_name="nearkin index", version=2)


@pytest.mark.parametrize(("metric", "rule"), [("l1", "nearest"), ("l2", "prototype"), ("cosine", "attention")])
def test_a_loaded_index_answers_as_the_saved_one(
    metric: Any, rule: Any, make: Callable[..., Index], draw: Draw, tmp_path: Path
) -> None:
    index = make({"a": 20, "b": 20, "c": 4}, metric=metric, class_rule=rule, score={"type": "knn", "k": 2})
    index.add(draw("b", 1, 9), ["b"], ids=[500], sources=["päth/ü.png"], digests=["d"], trained=True)
    index.save(tmp_path / "x.index")
    loaded = load(tmp_path / "x.index")
    queries = np.concatenate([draw(label, 10, 40) for label in "abc"])
    assert loaded.query(queries) == index.query(queries)
    assert loaded.promise == index.promise
    assert loaded.recalibrate().query(queries) == index.recalibrate().query(queries)
    assert loaded.add(draw("a", 1, 10), ["a"]) == [501]
    with pytest.raises(IndexCallError, match="trained the model"):
        loaded.calibrate(draw("b", 1, 11), ["b"], digests=["d"])


def test_an_empty_index_can_be_saved(tmp_path: Path) -> None:
    Index(metric="l2", class_rule="nearest", dim=4).save(tmp_path / "x")
    loaded = load(tmp_path / "x")
    assert (len(loaded), loaded.metric, loaded.faiss.ntotal) == (0, "l2", 0)


def test_the_model_goes_along_and_comes_back(embed: Any, tmp_path: Path) -> None:
    model = {"model.json": b"{}", "model.safetensors": b"weights"}
    index = Index(metric="l1", class_rule="nearest", dim=3, embed=embed, model_files=lambda: model)
    index.add(["0,0,1"], ["a"])
    save(index, tmp_path / "with")
    save(index, tmp_path / "without", with_model=False)
    seen = []
    loaded = load(tmp_path / "with", embed_for=lambda files: (seen.append(dict(files)), embed)[1])
    assert seen == [model]
    assert loaded.query("1,0,1").label == "a"
    load(tmp_path / "with").save(tmp_path / "again")
    assert load(tmp_path / "again", embed_for=lambda files: embed).query("1,0,1").label == "a"
    bare = load(tmp_path / "without", embed_for=lambda files: embed)
    with pytest.raises(IndexCallError, match="has no model"):
        bare.query("1,0,1")
    assert load(tmp_path / "without", embed=embed).query("1,0,1").label == "a"


def test_model_files_named_as_the_indexs_own_are_refused(make: Callable[..., Index], tmp_path: Path) -> None:
    index = make(model_files=lambda: {"calibration.json": b""})
    with pytest.raises(IndexCallError, match="named as the index's own"):
        index.save(tmp_path / "x")


# -------------------------------------------------------------------------------------------------- damage


def flipped(data: bytes, at: int) -> bytes:
    """One bit of one byte."""
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


NAMES = [*sorted(storage_module.OWN), "model.json", "manifest.json"]
DAMAGES = {
    "first byte changed": lambda data: flipped(data, 0),
    "middle byte changed": lambda data: flipped(data, len(data) // 2),
    "last byte changed": lambda data: flipped(data, len(data) - 1),
    "last byte cut": lambda data: data[:-1],
    "cut in half": lambda data: data[: len(data) // 2],
    "emptied": lambda data: b"",
    "missing": None,
}


@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_file_is_refused_by_name(name: str, make: Callable[..., Index], tmp_path: Path) -> None:
    make(model_files=lambda: {"model.json": b"{}"}).save(tmp_path / "x")
    manifest = json.loads((tmp_path / "x" / "manifest.json").read_bytes())
    on_disk = name if name == "manifest.json" else manifest["files"][name]["file"]
    for number, (what, damage) in enumerate(DAMAGES.items()):
        folder = tmp_path / str(number)
        shutil.copytree(tmp_path / "x", folder)
        path = folder / on_disk
        path.write_bytes(damage(path.read_bytes())) if damage else path.unlink()
        with pytest.raises(DamagedError) as error:
            load(folder)
        assert on_disk in str(error.value), what


def test_every_byte_of_the_manifest_counts(make: Callable[..., Index], tmp_path: Path) -> None:
    make({}).save(tmp_path / "x")
    path = tmp_path / "x" / "manifest.json"
    data = path.read_bytes()
    for at in range(len(data)):
        other = ord("\t") if data[at : at + 1].isspace() else data[at] ^ 1
        path.write_bytes(data[:at] + bytes([other]) + data[at + 1 :])
        with pytest.raises(DamagedError, match=r"manifest\.json"):
            load(tmp_path / "x")


VECTORS = np.ones((30, 3), np.float32)
TEXTS = ("labels", "groups", "sources", "digests")
IDS = np.arange(30)
OFFSETS = np.arange(4)


@pytest.mark.parametrize(
    "change",
    [
        {"vectors": None},
        {"vectors": VECTORS[:9]},
        {"vectors": VECTORS * np.nan},
        {"vectors": VECTORS.astype("i4")},
        {"vectors": VECTORS[:, :2]},
        {"ids": IDS[::-1]},
        {"ids": IDS - 1},
        {"ids": IDS // 2},
        {"trained": np.zeros(29, bool)},
        {"trained": np.full(30, 2, np.uint8).view(bool)},
        {"labels.codes": np.full(30, 3, np.int32)},
        {"labels.codes": np.full(30, -1, np.int32)},
        {"labels.codes": np.zeros(30, np.int32)},
        {"labels.bytes": np.frombuffer(b"cba", np.uint8)},
        {"labels.bytes": np.frombuffer(b"aac", np.uint8)},
        {"labels.bytes": np.frombuffer(b"a\xffc", np.uint8)},
        {"labels.bytes": np.frombuffer("aä".encode(), np.uint8)},
        {"labels.offsets": OFFSETS + 1},
        {"labels.offsets": OFFSETS[::-1]},
        {"labels.offsets": np.array([0, 2, 1, 3])},
        {"labels.offsets": OFFSETS[:0]},
        {"sources.offsets": OFFSETS},
    ],
    ids=str,
)
def test_columns_that_no_index_wrote_are_refused_though_their_hash_agrees(
    change: dict[str, Any], make: Callable[..., Index], tmp_path: Path
) -> None:
    make().save(tmp_path)
    columns = read_tensors(
        read_bundle(tmp_path, format_name="nearkin index", version=2).files["references.safetensors"]
    )
    changed = {name: column for name, column in {**columns, **change}.items() if column is not None}
    file = io.BytesIO()
    write_tensors(changed, file)
    rewritten(tmp_path, "references.safetensors", file.getvalue())
    with pytest.raises(DamagedError, match=r"references-[0-9a-f]*\.safetensors|references\.safetensors"):
        load(tmp_path)


@pytest.mark.parametrize("at", range(0, 700, 7))
def test_a_header_that_no_index_wrote_is_refused_or_read_as_it_says(
    at: int, make: Callable[..., Index], tmp_path: Path
) -> None:
    make().save(tmp_path)
    data = read_bundle(tmp_path, format_name="nearkin index", version=2).files["references.safetensors"]
    rewritten(tmp_path, "references.safetensors", data[:at] + bytes([data[at] ^ 16]) + data[at + 1 :])
    with contextlib.suppress(DamagedError):
        load(tmp_path).query(VECTORS[0])


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("references.safetensors", b"no tensors"),
        ("references.safetensors", b""),
        ("references.safetensors", (2**62).to_bytes(8, "little") + b"{}"),
        ("references.safetensors", (10**5).to_bytes(8, "little") + b"[" * 10**5),
        ("references.safetensors", (2).to_bytes(8, "little") + b"{}"),
        ("calibration.safetensors", save_tensors({"vectors": VECTORS, "scores": VECTORS[:, 0] * np.nan})),
        ("calibration.safetensors", save_tensors({"vectors": VECTORS, "scores": VECTORS[:7, 0].copy()})),
        ("calibration.json", b"null"),
        ("calibration.json", to_json({name: ["z"] * 60 for name in TEXTS} | {"fresh": ["z"]})),
        ("trained.json", b"7"),
        ("trained.json", b"[7]"),
    ],
)
def test_what_no_index_wrote_is_refused_though_its_hash_agrees(
    name: str, data: bytes, make: Callable[..., Index], tmp_path: Path
) -> None:
    make().save(tmp_path)
    rewritten(tmp_path, name, data)
    with pytest.raises(DamagedError, match=name):
        load(tmp_path)


@pytest.mark.parametrize(
    "meta",
    [
        {"metric": "euclid"},
        {"dim": "3"},
        {"alpha": 2.0},
        {"score": {"type": "knn", "options": {"k": 0}}},
        {"score": "knn"},
        {"more": 1},
        {"next_id": 3},
        {"engine": 7},
        {"engine": {"type": "flat", "options": {}}},
    ],
)
def test_settings_that_no_index_has_are_refused(
    meta: dict[str, Any], make: Callable[..., Index], tmp_path: Path
) -> None:
    make().save(tmp_path)
    rewritten(tmp_path, "trained.json", b"[]", **meta)
    with pytest.raises(DamagedError, match=r"manifest\.json|references\.safetensors"):
        load(tmp_path)


def test_a_file_that_the_manifest_does_not_list_is_missed(make: Callable[..., Index], tmp_path: Path) -> None:
    make().save(tmp_path)
    rewritten(tmp_path, "engine.bin", None)
    with pytest.raises(DamagedError, match=r"lists no engine\.bin"):
        load(tmp_path)


@pytest.mark.parametrize("cached", [b"IxM2 and nothing", b"", b"IxF2"])
def test_what_the_engine_kept_decides_nothing(
    cached: bytes, make: Callable[..., Index], draw: Draw, tmp_path: Path
) -> None:
    index = make()
    index.save(tmp_path)
    rewritten(tmp_path, "engine.bin", cached)
    assert load(tmp_path).query(draw("a", 3, 5)) == index.query(draw("a", 3, 5))


# -------------------------------------------------------------------------------------------------- saving


def test_saving_over_what_is_no_index_is_refused(make: Callable[..., Index], tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("Dear")
    (tmp_path / "file").write_text("x")
    save_bundle(tmp_path / "other", {}, {}, format_name="nearkin run", version=1)
    for name, said in (("letters", r"holds dear\.txt"), ("file", "this is a file"), ("other", "not a nearkin index")):
        with pytest.raises(IndexCallError, match=said):
            make().save(tmp_path / name)
    assert (tmp_path / "letters" / "dear.txt").read_text() == "Dear"


def test_a_stranger_in_an_index_folder_is_not_swept_away(make: Callable[..., Index], tmp_path: Path) -> None:
    make().save(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(IndexCallError, match=r"holds notes\.txt"):
        make().save(tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_saving_again_leaves_only_the_new_state(make: Callable[..., Index], draw: Draw, tmp_path: Path) -> None:
    index = make()
    index.save(tmp_path)
    before = len(list(tmp_path.iterdir()))
    index.add(draw("a", 1, 3), ["a"])
    index.save(tmp_path)
    assert len(list(tmp_path.iterdir())) == before
    assert len(load(tmp_path)) == 31


class CrashedError(Exception):
    """The power went."""


def test_a_crash_at_any_write_leaves_the_old_state_whole(
    make: Callable[..., Index], draw: Draw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = make(), make()
    new.add(draw("a", 2, 30), ["a", "b"])
    new.calibrate(draw("a", 30, 31), ["a"] * 30)
    queries, flush = draw("a", 5, 32), os.fsync
    flushes: list[int] = []
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", flushes.append)
        new.save(tmp_path / "counted")
    assert len(flushes) > len(storage_module.OWN)
    for crash_at in range(len(flushes) - 1):  # the last one is that of the folder, after the manifest's rename
        folder = tmp_path / str(crash_at)
        old.save(folder)
        calls = iter(range(len(flushes)))

        def crashing(descriptor: int, calls: Any = calls, crash_at: int = crash_at) -> None:
            if next(calls) == crash_at:
                raise CrashedError
            flush(descriptor)

        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", crashing)
            with pytest.raises(CrashedError):
                new.save(folder)
        assert load(folder).query(queries) == old.query(queries)
        new.save(folder)
        assert load(folder).query(queries) == new.query(queries)


def test_an_index_is_saved_where_it_was_opened_wherever_the_process_goes(
    make: Callable[..., Index], draw: Draw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make().save(tmp_path / "mine" / "x.index")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "mine")
    with edit("x.index", lambda: load("x.index")) as index:
        index.add(draw("a", 1, 3), ["new"])
        monkeypatch.chdir(tmp_path / "elsewhere")
    assert load(tmp_path / "mine" / "x.index").labels == ("a", "b", "c", "new")
    assert not list((tmp_path / "elsewhere").iterdir())


def test_pyarrow_is_missed_by_name(make: Callable[..., Index], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(PluginError, match=r"nearkin\[parquet\]"):
        make().export(tmp_path / "x.parquet")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ending", ["npz", "parquet"])
def test_where_nothing_can_be_exported_to_is_said_in_words(
    ending: str, make: Callable[..., Index], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any, **__: Any) -> Any:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("tempfile.mkdtemp", refused)
    with pytest.raises(WorkFailed, match=rf"x\.{ending}: could not be saved: Permission denied\. .* may write to"):
        make().export(tmp_path / f"x.{ending}")
