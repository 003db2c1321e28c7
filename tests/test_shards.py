"""Claims about embedding many images: shared among processes, going on after a kill, the same as one process makes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sklearn.datasets import load_digits

import nearkin
from nearkin import shards
from nearkin.cli import run as run_command
from nearkin.data import Item
from nearkin.data.sources import list_folder
from nearkin.errors import DamagedError, DataError, UsageError, WorkFailed
from nearkin.files import MANIFEST, read_manifest
from nearkin.model import Model

RUN = Path(__file__).parent / "examples" / "run-v1"


def written(root: Path, n: int) -> tuple[Item, ...]:
    """n digits as PNG files, a folder a class."""
    digits = load_digits()
    for number, (pixels, label) in enumerate(zip(digits.images[:n], digits.target, strict=False)):
        path = root / str(label) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((pixels / 16 * 255).round().astype(np.uint8)).save(path)
    return list_folder(root)


@pytest.fixture(scope="module")
def model() -> Model:
    return nearkin.load_run(RUN).model


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "USUAL", 16)


def embed(model: Model, items: Any, folder: Path, progress: Any = lambda done, total: None) -> Any:
    return shards.embed_files(model, items, folder, progress)


def manifests(folder: Path) -> dict[str, int]:
    """Which shards there are, and when each was written."""
    return {path.parent.name: path.stat().st_mtime_ns for path in folder.glob(f"*/{MANIFEST}")}


def test_embeddings_are_those_of_the_model_in_the_items_order(small: None, model: Model, tmp_path: Path) -> None:
    items = written(tmp_path / "images", 150)
    found, plain = embed(model, items, tmp_path / "kept"), model.embed([str(item.place) for item in items])
    np.testing.assert_allclose(found.vectors, plain.vectors, rtol=0, atol=1e-5)
    assert (found.digests, found.sources) == (plain.digests, plain.sources)
    assert len(manifests(tmp_path / "kept")) > 3


class KilledError(BaseException):
    """Stands in for a kill."""


def test_what_was_made_before_a_kill_is_not_made_again(small: None, model: Model, tmp_path: Path) -> None:
    items = written(tmp_path / "images", 150)

    def die(done: int, total: int) -> None:
        if done > total / 2:
            raise KilledError

    with pytest.raises(KilledError):
        embed(model, items, tmp_path / "kept", die)
    before = manifests(tmp_path / "kept")
    assert before
    found = embed(model, items, tmp_path / "kept")
    after = manifests(tmp_path / "kept")
    assert before.items() < after.items()
    assert np.array_equal(found.vectors, embed(model, items, tmp_path / "anew").vectors)


def test_a_changed_image_is_embedded_again_and_no_other_shard(small: None, model: Model, tmp_path: Path) -> None:
    items = written(tmp_path / "images", 150)
    embed(model, items, tmp_path / "kept")
    before = manifests(tmp_path / "kept")
    shutil.copy(str(items[0].place), str(items[70].place))
    found = embed(model, items, tmp_path / "kept")
    assert np.array_equal(found.vectors[70], found.vectors[0])
    assert len(manifests(tmp_path / "kept").items() - before.items()) == 1


def test_every_bad_image_is_named_and_the_others_are_not_lost(small: None, model: Model, tmp_path: Path) -> None:
    items = written(tmp_path / "images", 150)
    good = Path(str(items[20].place)).read_bytes()
    bad = [Path(str(items[20].place)), Path(str(items[140].place))]
    bad[0].write_bytes(good[:40])
    bad[1].unlink()
    with pytest.raises(DataError, match="2 of 150 images cannot be used") as error:
        embed(model, items, tmp_path / "kept")
    assert all(str(path) in str(error.value) for path in bad)
    before = manifests(tmp_path / "kept")
    for path in bad:
        path.write_bytes(good)
    assert len(embed(model, items, tmp_path / "kept").vectors) == 150
    assert len(manifests(tmp_path / "kept").items() - before.items()) == 2


@given(st.sets(st.integers(0, 10**6), min_size=2, max_size=80), st.data())
def test_an_image_that_goes_changes_its_own_shard_and_no_other(numbers: set[int], data: st.DataObject) -> None:
    items = [Item(f"a/{number}.png", "a", "", None, Path(f"a/{number}.png")) for number in sorted(numbers)]
    gone = data.draw(st.sampled_from(items))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "USUAL", 8)
        before, after = (shards.cut(some, "model") for some in (items, [item for item in items if item != gone]))
    assert [item for shard in before for item in shard.items] == items
    assert len({shard.name for shard in before} - {shard.name for shard in after}) <= 2  # itself, and one it joins
    assert all(shard.items for shard in after)


def test_another_models_shards_are_not_taken(model: Model, tmp_path: Path) -> None:
    items = written(tmp_path, 3)
    assert {s.name for s in shards.cut(items, "one")}.isdisjoint(s.name for s in shards.cut(items, "another"))


def test_a_folder_of_something_else_is_refused_and_never_removed(model: Model, tmp_path: Path) -> None:
    items = written(tmp_path / "images", 3)
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "dear.txt").write_text("Dear")
    for call in (lambda: embed(model, items, tmp_path / "kept"), lambda: shards.discard(tmp_path / "kept")):
        with pytest.raises(UsageError, match=r"holds dear\.txt"):
            call()
    assert (tmp_path / "kept" / "dear.txt").read_text() == "Dear"


def test_two_runs_are_never_at_work_in_one_folder(model: Model, tmp_path: Path) -> None:
    items = written(tmp_path / "images", 3)
    (tmp_path / "kept").mkdir()
    with FileLock(tmp_path / "kept" / shards.LOCK), pytest.raises(WorkFailed, match="another process is embedding"):
        embed(model, items, tmp_path / "kept")


def test_a_damaged_shard_is_named(model: Model, tmp_path: Path) -> None:
    items = written(tmp_path / "images", 3)
    embed(model, items, tmp_path / "kept")
    vectors = next((tmp_path / "kept").glob("*/vectors-*"))
    vectors.write_bytes(vectors.read_bytes()[:-1])
    with pytest.raises(DamagedError, match=vectors.name):
        embed(model, items, tmp_path / "kept")


# ------------------------------------------------------------------------------------------ several processes

LAUNCH = [sys.executable, "-m", "accelerate.commands.launch", "--num_processes", "2", "--num_machines", "1"]
LAUNCH += ["--mixed_precision", "no", "--dynamo_backend", "no", "--multi_gpu", "-m", "nearkin"]
"""Without a GPU too `accelerate launch` starts several processes only so; else it wants MPI."""


def killed_once_something_is_kept(command: list[str], kept: Path) -> None:
    """Start it, and kill all its processes as soon as one more shard is there."""
    before = len(manifests(kept))
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 120
    while len(manifests(kept)) == before:
        assert process.poll() is None, "it was over before it was killed"
        assert time.monotonic() < deadline
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.soak
def test_two_processes_killed_and_met_by_a_bad_image_go_on_to_the_index_that_one_makes(
    tmp_path: Path, count: Callable[[str, int, int], int], soaked: Callable[[str], None]
) -> None:
    kills = count("kills of two processes that embed", 1, 2)
    items = written(tmp_path / "images", 1797)
    index, kept = tmp_path / "x.index", tmp_path / "x.index.embedding"
    command = ["index", "build", str(index), "--run", str(RUN), "--images", str(tmp_path / "images")]
    for _ in range(kills):
        killed_once_something_is_kept([*LAUNCH, *command], kept)
    at_kill = len(manifests(kept))

    last = Path(str(items[-1].place))
    good = last.read_bytes()
    last.write_bytes(b"no image")
    done = subprocess.run([*LAUNCH, *command], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert done.stderr.count(f"{last}: is not an image") == 1
    assert "the same command goes on from there" in done.stderr
    made_by = {read_manifest(kept / name, format_name=shards.FORMAT, version=shards.VERSION)["meta"]["process"]
               for name in manifests(kept)}  # fmt: skip
    assert made_by == {0, 1}
    assert not index.exists()

    last.write_bytes(good)
    assert run_command(command) == 0  # one process goes on where two were
    assert not kept.exists()
    references = nearkin.load_index(index).references
    plain = nearkin.load_run(RUN).index.blank()
    plain.add([str(item.place) for item in items], [item.label for item in items])
    assert np.array_equal(references.ids, plain.references.ids)
    for name in ("labels", "sources", "digests"):
        assert list(getattr(references, name)) == list(getattr(plain.references, name)), name
    np.testing.assert_allclose(references.vectors, plain.references.vectors, rtol=0, atol=1e-5)
    total = len(shards.cut(items, "model"))
    soaked(
        f"{len(items):,} images under `accelerate launch` on two processes, killed {kills} times (SIGKILL; "
        f"{at_kill} of {total} shards made), then ended by one process: ids, order, labels and digests as one "
        "process makes them, vectors to 1e-5."
    )
