"""Claims about what a kill, a full disk and many processes at once can do to an index on disk: nothing."""

from __future__ import annotations

import os
import resource
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest

from nearkin.errors import DamagedError, WorkFailed
from nearkin.index import Index, load
from nearkin.index.writing import writing
from tests.index.at_work import (
    begun,
    digest,
    drawn,
    interfere_until,
    read_until,
    save_for_ever,
    started,
    write_until,
)

Count = Callable[[str, int, int], int]
Soaked = Callable[[str], None]


# ------------------------------------------------------------------------------------------------------- kills


@dataclass
class Kills:
    """What was found after each."""

    done: int = 0
    inside: int = 0
    """Those that came between the beginning and the end of a save."""
    as_before: int = 0
    """Those after which the folder held the state from before the save that was killed."""
    torn: list[str] = field(default_factory=list)


def kill_and_look(folder: Path, kills: int, *, naive: bool = False) -> Kills:
    """Kill a saving process at random moments; after each, what the folder holds must be what it said last."""
    rng, found, last = np.random.default_rng(0), Kills(), digest(load(folder))
    for kill in range(kills):
        process, hears = started(save_for_ever, folder, 1000 * kill + 1, naive)
        said = wait_for_saves(hears, 1 + int(rng.integers(3)))
        seconds_a_save = min(end - begin for (_, _, begin), (_, _, end) in zip(said[::2], said[1::2], strict=True))
        if rng.random() < 0.8:
            said += heard(hears, 1)  # the next save begins
        time.sleep(rng.random() * seconds_a_save)
        process.kill()
        process.join()
        said += heard(hears, None)
        before = next((state for what, state, _ in reversed(said) if what == "end"), last)
        begun_state = said[-1][1]
        found.done += 1
        found.inside += said[-1][0] == "begin"
        try:
            last = digest(load(folder))
        except DamagedError as error:
            found.torn.append(str(error))
        else:
            found.as_before += said[-1][0] == "begin" and last == before
            if last not in (before, begun_state):
                found.torn.append(f"{folder}: a state that nobody saved")
        if found.torn:
            break
    return found


def wait_for_saves(hears: Connection, n: int) -> list[tuple[str, str, float]]:
    """`begin` and `end` of n saves, with the seconds at which they were heard."""
    return heard(hears, 2 * n)


def heard(hears: Connection, n: int | None) -> list[tuple[str, str, float]]:
    """The next n messages; with None all there still are from a process that is gone."""
    messages: list[tuple[str, str, float]] = []
    try:
        while n is None or len(messages) < n:
            messages.append((*hears.recv(), time.monotonic()))
    except EOFError:
        assert n is None, "the saving process ended by itself"
    return messages


@pytest.mark.soak
def test_a_process_killed_while_it_saves_leaves_the_state_before_or_after(
    tmp_path: Path, count: Count, soaked: Soaked
) -> None:
    kills = count("kills of a process that adds, removes and saves", 8, 200)
    begun(tmp_path)
    found = kill_and_look(tmp_path, kills)
    assert not found.torn, found.torn[0]
    assert found.done == kills
    assert found.inside >= kills / 2
    soaked(
        f"{kills} kills (SIGKILL at random moments), {found.inside} inside a save: the index held the state "
        f"before it {found.as_before} times, the state after it the others, never anything else."
    )


def test_the_same_kills_catch_a_save_that_overwrites_files_in_place(tmp_path: Path) -> None:
    begun(tmp_path)
    found = kill_and_look(tmp_path, 200, naive=True)
    print(f"caught at kill {found.done} of 200: {found.torn}")
    assert found.torn


# --------------------------------------------------------------------------------------------------- full disk


@contextmanager
def disk_with_room(folder: Path, room: int) -> Iterator[None]:
    """So many bytes free on the file system of its own that this folder is."""
    free = os.statvfs(folder)
    filler = folder / "filler"
    filler.write_bytes(bytes(max(0, free.f_bavail * free.f_frsize - room)))
    try:
        yield
    finally:
        filler.unlink()


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """The system refuses files beyond so many bytes, as a quota would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path | None]:
    """A file system of 16 MiB, where this user may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        yield None
        return
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def changed(index: Index) -> Index:
    index.add(drawn(2, 500), ["more"] * 500)
    return index


@pytest.mark.soak
def test_a_full_disk_is_an_error_and_the_old_index_stays(
    small_disk: Path | None, tmp_path: Path, count: Count, soaked: Soaked
) -> None:
    n = count("sizes of a full disk", 50, 50)
    folder = (small_disk or tmp_path) / "index"
    before = digest(begun(folder))
    there = sorted(path.name for path in folder.iterdir())
    sizes = [path.stat().st_size for path in folder.iterdir()]
    for step in range(n):
        size = step * (sum(sizes) if small_disk else max(sizes)) // n
        room = disk_with_room(small_disk, size) if small_disk else files_up_to(size)
        index = changed(load(folder))
        with room, pytest.raises(WorkFailed, match=r"could not be saved: (No space left|File too large)"):
            index.save(folder)
        assert digest(load(folder)) == before
        assert sorted(path.name for path in folder.iterdir()) == there, "what could not be saved takes no room"
    index.save(folder)
    assert digest(load(folder)) == digest(index) != before
    how = "a tmpfs with so many bytes free" if small_disk else "a limit on file sizes (no right to mount a tmpfs)"
    soaked(f"{n} byte counts, by {how}: every time an error, the old index intact and nothing left over.")


# ---------------------------------------------------------------------------------------------------- together


@pytest.mark.soak
def test_one_writer_and_four_readers_never_meet_half_a_state(tmp_path: Path, count: Count, soaked: Soaked) -> None:
    seconds = count("seconds of one writer, four readers and a second writer", 2, 60)
    index = begun(tmp_path, 10)
    index.remove(labels=index.labels)
    index.add(drawn(0), ["a 0", "b 0"] * 100)
    index.save(tmp_path)
    writer, writes = started(write_until, tmp_path, seconds)
    assert writes.recv() == "holds"
    readers = [started(read_until, tmp_path, seconds) for _ in range(4)]
    second, refusals = started(interfere_until, tmp_path, seconds / 2)
    saves, refused = heard_at_end(writes), heard_at_end(refusals)
    reads = [heard_at_end(hears) for _, hears in readers]
    for process in (writer, second, *(process for process, _ in readers)):
        process.join()
        assert process.exitcode == 0
    assert min(saves, refused, *reads) >= 1
    assert load(tmp_path).labels == (f"a {saves}", f"b {saves}")
    soaked(
        f"{seconds} s: {saves:,} saves by one writer, {sum(reads):,} openings with answers by four readers, all "
        f"whole; a second writer refused at once all {refused:,} times."
    )


def heard_at_end(hears: Connection) -> int:
    """What a process says when its time is over."""
    try:
        said: int = hears.recv()
    except EOFError:
        pytest.fail("a process ended before its time; its traceback is above")
    return said


def test_a_copy_saved_elsewhere_meanwhile_does_not_hide_what_another_saved(tmp_path: Path) -> None:
    begun(tmp_path / "index")
    mine, other = load(tmp_path / "index"), load(tmp_path / "index")
    changed(other).save(tmp_path / "index")
    mine.save(tmp_path / "copy")
    with pytest.raises(WorkFailed, match="changed by someone else"):
        mine.save(tmp_path / "index")


def test_a_reader_waits_for_no_writer(tmp_path: Path) -> None:
    begun(tmp_path)
    with writing(tmp_path):
        assert len(load(tmp_path)) == 2000
