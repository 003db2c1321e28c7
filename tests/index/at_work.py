"""Processes that work on an index folder: one that saves until it is killed, readers, a second writer.

Started by a fork server that has the libraries loaded, so that hundreds of them take seconds.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import faiss  # noqa: F401  # loaded once, by the fork server
import numpy as np

from nearkin import files
from nearkin.errors import WorkFailed
from nearkin.index import Index, load, storage  # noqa: F401  # loaded once, by the fork server
from nearkin.index.writing import writing

DIMS, CLASSES = 64, ("a", "b")
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload([__name__])


def started(work: Callable[..., None], *arguments: Any) -> tuple[BaseProcess, Connection]:
    """The process, and the end of a pipe that hears what it says."""
    hears, says = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=work, args=(says, *arguments), daemon=True)
    process.start()
    says.close()
    return process, hears


def drawn(step: int, n: int = 200) -> Any:
    """(n, 64) vectors around a centre of this step's own."""
    rng = np.random.default_rng(step)
    return (step + 0.01 * rng.normal(size=(n, DIMS))).astype(np.float32)


def begun(folder: Path, n: int = 2000) -> Index:
    """An index saved there."""
    index = Index(metric="l2", class_rule="nearest", dim=DIMS)
    index.add(drawn(0, n), ["base"] * n)
    index.calibrate(drawn(1, 30), ["base"] * 30)
    index.save(folder)
    return index


def digest(index: Index) -> str:
    """Of everything that tells one state of an index from another."""
    held, state = hashlib.sha256(), index._state
    for array in (index.references.vectors, index.references.ids, state.calibration.vectors, state.calibration.scores):
        held.update(array.tobytes())
    held.update(repr((index.references.labels, sorted(state.calibration.fresh), index.promise)).encode())
    return held.hexdigest()


# ----------------------------------------------------------------------------------------------------- killed


def save_for_ever(says: Connection, folder: Path, first_step: int, naive: bool) -> None:
    """Add, remove and save in turns, saying `begin` and `end` with the state's digest around every save."""
    if naive:
        files._save = save_naively
    index = load(folder)
    for step in range(first_step, first_step + 100_000):
        added = index.add(drawn(step), [f"step {step}"] * 200)
        index.remove(ids=index.references.ids[: len(added)].tolist())
        for what in ("begin", "end"):
            says.send((what, digest(index)))
            if what == "begin":
                index.save(folder)


def save_naively(
    folder: Path, content: Mapping[str, files.Content], body: Mapping[str, Any], fixed_names: bool
) -> None:
    """What people write who have not lost a file yet: every file in its place, one after the other."""
    entries = {}
    for name, data in content.items():
        stem, dot, ending = name.partition(".")
        in_place = f"{stem}-{'0' * 16}{dot}{ending}"
        with (folder / in_place).open("wb") as file:
            file.write(data) if isinstance(data, bytes) else data(file)
        written = (folder / in_place).read_bytes()
        entries[name] = {"file": in_place, "sha256": files.sha256(written), "size": len(written)}
    (folder / files.MANIFEST).write_bytes(files._with_checksum({**body, "files": entries}))


# ---------------------------------------------------------------------------------------------------- together


def write_until(says: Connection, folder: Path, seconds: float) -> None:
    """Replace all references by the next step's, and save, again and again; as the folder's one writer."""
    index, step, end = load(folder), 0, time.monotonic() + seconds
    with writing(folder):
        says.send("holds")
        while time.monotonic() < end:
            step += 1
            index.remove(labels=index.labels)
            index.add(drawn(step), [f"{label} {step}" for label in CLASSES * 100])
            index.save(folder)
    says.send(step)


def read_until(says: Connection, folder: Path, seconds: float) -> None:
    """Open and ask again and again: an answer's neighbours, and its distances, are of one step, and none older."""
    last, reads, end = 0, 0, time.monotonic() + seconds
    while time.monotonic() < end:
        index = load(folder)
        steps = {int(label.rsplit(" ", 1)[1]) for label in index.labels}
        assert len(steps) == 1, f"classes of several states: {index.labels}"
        step = steps.pop()
        assert step >= last, f"state {step} after {last}"
        vectors = drawn(step)
        for row, answer in zip((0, 7), index.query(vectors[[0, 7]]), strict=True):
            nearest = answer.neighbors[0]
            assert (nearest.distance, nearest.label) == (0, f"{CLASSES[row % 2]} {step}"), f"torn answer: {answer}"
        last, reads = step, reads + 1
    says.send(reads)


def interfere_until(says: Connection, folder: Path, seconds: float) -> None:
    """A second writer, who never succeeds while the first is there."""
    other, refused, end = Index(metric="l2", class_rule="nearest", dim=DIMS), 0, time.monotonic() + seconds
    other.add(drawn(1, 5), ["mine"] * 5)
    while time.monotonic() < end:
        try:
            other.save(folder)
        except WorkFailed as error:
            assert "another process is changing this index" in str(error)  # noqa: PT017
            refused += 1
        else:
            raise AssertionError("the second writer saved")
    says.send(refused)
