"""Claims about changes on disk: one writer at a time, nobody's changes overwritten unseen, all or nothing."""

from __future__ import annotations

import copy
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nearkin.errors import DamagedError, IndexCallError, WorkFailed
from nearkin.index import Index, edit, load
from nearkin.index import storage as storage_module

Draw = Callable[..., Any]
HOLD = """
import sys, pathlib
from nearkin.index.writing import writing
with writing(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_writer_is_refused_at_once_and_a_reader_is_not(
    make: Callable[..., Index], draw: Draw, tmp_path: Path
) -> None:
    make().save(tmp_path)
    index = load(tmp_path)
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(WorkFailed, match="another process is changing this index"):
            index.save(tmp_path)
        with pytest.raises(WorkFailed, match="another process"), edit(tmp_path, lambda: load(tmp_path)):
            pass
        assert load(tmp_path).query(draw("a", 2, 1)) == index.query(draw("a", 2, 1))
        other.kill()
    index.save(tmp_path)


def test_another_thread_is_a_second_writer_too(make: Callable[..., Index], tmp_path: Path) -> None:
    make().save(tmp_path)
    said = []

    def save() -> None:
        try:
            make().save(tmp_path)
        except WorkFailed as error:
            said.append(str(error))

    with edit(tmp_path, lambda: load(tmp_path)):
        thread = threading.Thread(target=save)
        thread.start()
        thread.join()
    assert len(said) == 1


def test_an_index_that_someone_else_changed_since_is_not_overwritten(
    make: Callable[..., Index], draw: Draw, tmp_path: Path
) -> None:
    make().save(tmp_path / "x")
    mine, theirs = load(tmp_path / "x"), load(tmp_path / "x")
    theirs.add(draw("a", 1, 5), ["a"])
    theirs.save(tmp_path / "x")
    theirs.add(draw("a", 1, 6), ["a"])
    theirs.save(tmp_path / "x")
    mine.remove(ids=0)
    with pytest.raises(WorkFailed, match="changed by someone else since"):
        mine.save(tmp_path / "x")
    assert len(load(tmp_path / "x")) == 32
    mine.save(tmp_path / "y")
    mine.save(tmp_path / "y")
    assert len(load(tmp_path / "y")) == 29


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_copy_has_not_seen_what_the_first_one_saved(
    make: Callable[..., Index], draw: Draw, tmp_path: Path, copied: Callable[[Index], Index]
) -> None:
    make().save(tmp_path / "x")
    first = load(tmp_path / "x")
    second = copied(first)
    first.add(draw("a", 1, 5), ["new"])
    first.save(tmp_path / "x")
    with pytest.raises(WorkFailed, match="changed by someone else since"):
        second.save(tmp_path / "x")


def test_a_folder_that_was_taken_away_is_written_anew(make: Callable[..., Index], tmp_path: Path) -> None:
    import shutil

    index = make()
    index.save(tmp_path / "x")
    shutil.rmtree(tmp_path / "x")
    index.save(tmp_path / "x")
    assert len(load(tmp_path / "x")) == 30


def test_editing_saves_all_changes_in_one_step_and_none_where_it_fails(
    make: Callable[..., Index], draw: Draw, tmp_path: Path
) -> None:
    make().save(tmp_path)
    with edit(tmp_path, lambda: load(tmp_path)) as index:
        index.add(draw("a", 1, 5), ["a"])
        index.recalibrate()
        assert len(load(tmp_path)) == 30
    assert [event.call for event in load(tmp_path).history[-2:]] == ["add", "recalibrate"]

    def half_done() -> None:
        with edit(tmp_path, lambda: load(tmp_path)) as index:
            index.remove(ids=0)
            index.remove(labels="nobody")

    with pytest.raises(IndexCallError, match="nobody"):
        half_done()
    assert len(load(tmp_path)) == 31


def test_editing_nothing_writes_nothing(make: Callable[..., Index], tmp_path: Path) -> None:
    make().save(tmp_path)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    with edit(tmp_path, lambda: load(tmp_path)) as index:
        index.query(index.references.vectors[:2])
    after = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert {name: after[name] for name in before if not name.endswith(".lock")} == {
        name: at for name, at in before.items() if not name.endswith(".lock")
    }


def test_saving_inside_an_edit_is_one_writer(make: Callable[..., Index], draw: Draw, tmp_path: Path) -> None:
    make().save(tmp_path)
    with edit(tmp_path, lambda: load(tmp_path)) as index:
        index.add(draw("a", 1, 5), ["a"])
        index.save(tmp_path)
        index.add(draw("a", 1, 6), ["a"])
    assert len(load(tmp_path)) == 32


def test_the_model_stays_in_a_folder_that_held_it_and_out_of_one_that_did_not(
    make: Callable[..., Index], draw: Draw, tmp_path: Path
) -> None:
    files = {"model.json": b"{}"}
    index = make(model_files=lambda: files)
    for name, with_model in (("with", True), ("without", False)):
        index.save(tmp_path / name, with_model=with_model)
        with edit(tmp_path / name, lambda name=name: load(tmp_path / name, model_files=lambda: files)) as opened:
            opened.add(draw("a", 1, 5), ["a"])
        assert storage_module.holds_model(tmp_path / name) is with_model


def test_a_folder_that_is_no_index_is_left_as_it_is(make: Callable[..., Index], tmp_path: Path) -> None:
    (tmp_path / "dear.txt").write_text("Dear")
    with pytest.raises(IndexCallError, match=r"holds dear\.txt"):
        make().save(tmp_path)
    with pytest.raises(DamagedError, match=r"no manifest\.json"), edit(tmp_path, lambda: load(tmp_path)):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["dear.txt"]


def test_an_index_of_before_the_history_opens(make: Callable[..., Index], tmp_path: Path) -> None:
    from nearkin.files import read_bundle, save_bundle

    make().save(tmp_path)
    bundle = read_bundle(tmp_path, format_name=storage_module.FORMAT, version=storage_module.VERSION)
    files = {name: data for name, data in bundle.files.items() if name != storage_module.HISTORY}
    save_bundle(tmp_path, files, bundle.meta, format_name=storage_module.FORMAT, version=storage_module.VERSION)
    assert load(tmp_path).history == ()
