"""What FAISS does badly, and the engines must not."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from typing import Any

import faiss
import numpy as np
import pytest

from nearkin.contracts import Build, Engine
from nearkin.errors import IndexCallError
from nearkin.index import Index, load
from nearkin.index.engines import built_in, faiss_file

RNG = np.random.default_rng(0)
VECTORS = RNG.normal(size=(300, 8)).astype(np.float32)
IDS = np.arange(300)


def made(type: str, metric: Any = "l2", **options: Any) -> Engine:
    return built_in(type, options).make(Build(seed=0, embedding_dim=8, metric=metric))


def test_codes_cannot_compare_by_l1_and_are_refused_before_faiss_is_called() -> None:
    for compression in ("sq8", "pq"):
        with pytest.raises(IndexCallError, match="cannot compare by l1"):
            made("ivf", "l1", compression=compression)


def test_lists_are_not_trained_on_thirty_vectors() -> None:
    engine = made("ivf").holding(IDS[:30], VECTORS[:30])
    assert engine.exact
    assert engine.search(VECTORS[:3], 1).ids.tolist() == [0, 1, 2]


class Full(io.RawIOBase):
    """A disk that is full after so many bytes."""

    def __init__(self, room: int) -> None:
        self.room = room

    def write(self, data: Any) -> int:
        self.room -= len(data)
        if self.room < 0:
            raise OSError(28, "No space left on device")
        return len(data)


@pytest.mark.parametrize("type", ["ivf", "hnsw"])
@pytest.mark.parametrize("room", [0, 100, 3000, 9000])
def test_a_full_disk_is_an_error(type: str, room: int) -> None:
    engine = made(type, at_least=50).holding(IDS, VECTORS)
    with pytest.raises(OSError, match="No space left"):
        engine.write(Full(room))  # type: ignore[arg-type]


@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_a_query_finds_the_same_alone_and_in_a_batch(metric: Any) -> None:
    engine = made("ivf", metric, at_least=50, lists=4, probes=2).holding(IDS, VECTORS)
    together = engine.search(VECTORS[:100] + np.float32(0.1), 5).ids.reshape(100, 5)
    alone = [engine.search(row[None] + np.float32(0.1), 5).ids for row in VECTORS[:100]]
    assert np.array_equal(together, alone)


def calibrated() -> Index:
    engine = built_in("ivf", {"at_least": 50, "lists": 4, "probes": 1})
    index = Index(metric="l2", class_rule="nearest", dim=8, engine=engine)
    index.add(VECTORS, ["a", "b", "c"] * 100)
    index.calibrate(RNG.normal(size=(60, 8)).astype(np.float32), ["a", "b", "c"] * 20)
    return index


def test_an_approximate_engine_makes_every_class_stale_when_anything_changes() -> None:
    index = calibrated()
    assert index.promise.stale == ()
    index.add(VECTORS[:1] + 1, ["a"])
    assert index.promise.stale == ("a", "b", "c")
    assert calibrated().use_engine("flat").promise.stale == ("a", "b", "c")


def test_an_approximate_index_comes_back_calibrated(tmp_path: Any) -> None:
    index = calibrated()
    index.save(tmp_path)
    again = load(tmp_path)
    assert again.promise == index.promise
    assert again.query(VECTORS[:20]) == index.query(VECTORS[:20])


def test_an_index_answers_where_pytorch_metric_learning_has_replaced_faiss_search() -> None:
    """`faiss.contrib.torch_utils` puts a search of its own in place, which takes no parameters."""
    program = (
        "import faiss.contrib.torch_utils, numpy as np\n"
        "from nearkin.index import Index\n"
        "for engine in ('flat', 'hnsw', 'ivf'):\n"
        "    index = Index(metric='l2', class_rule='nearest', dim=8, engine=engine)\n"
        "    vectors = np.random.default_rng(0).standard_normal((3000, 8)).astype('float32')\n"
        "    index.add(vectors, ['a', 'b'] * 1500)\n"
        "    assert index.query(vectors[7]).neighbors[0].id == 7, engine\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("type", ["flat", "hnsw", "ivf"])
def test_a_process_that_was_forked_after_a_search_answers(type: str) -> None:
    n, options = (40_000, {}) if type == "flat" else (2000, {"at_least": 50})
    index = Index(metric="l2", class_rule="nearest", dim=8, engine=built_in(type, options))
    vectors = np.random.default_rng(1).normal(size=(n, 8)).astype(np.float32)
    threads = faiss.omp_get_max_threads()
    try:
        faiss.omp_set_num_threads(2)
        index.add(vectors, ["a"] * n)
        before = index.query(vectors[:64])
        child = os.fork()
        if not child:
            os._exit(0 if index.query(vectors[:64]) == before else 1)
    finally:
        faiss.omp_set_num_threads(threads)
    assert ended(child) == 0


def ended(child: int) -> int:
    """How a process ended; one that hangs is killed."""
    deadline = time.monotonic() + 60
    while (found := os.waitpid(child, os.WNOHANG))[0] == 0:
        if time.monotonic() > deadline:
            os.kill(child, 9)
        time.sleep(0.01)
    return found[1]


def test_an_id_that_faiss_takes_twice_is_refused() -> None:
    raw = faiss.IndexIDMap2(faiss.IndexFlatL2(8))
    raw.add_with_ids(VECTORS[:2], np.array([7, 7]))
    assert raw.search(VECTORS[:1], 2)[1].tolist() == [[7, 7]]
    index = Index(metric="l2", class_rule="nearest", dim=8)
    with pytest.raises(IndexCallError, match="7 is given twice"):
        index.add(VECTORS[:2], ["a", "a"], ids=[7, 7])
    index.add(VECTORS[:1], ["a"], ids=[7])
    with pytest.raises(IndexCallError, match="7 is in the index already"):
        index.add(VECTORS[:2], ["a", "a"], ids=[3, 7])
    assert index.references.ids.tolist() == [7]


@pytest.mark.parametrize("type", ["hnsw", "ivf"])
def test_bytes_of_another_type_of_faiss_index_are_never_parsed(type: str, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = made(type, at_least=50).holding(IDS, VECTORS)
    file = io.BytesIO()
    engine.write(file)
    start = faiss_file.HEADER + 8 * len(IDS)
    whole = file.getvalue()
    assert faiss_file.read_built(memoryview(whole), type) is not None
    monkeypatch.setattr(faiss_file, "_read_faiss", lambda data: pytest.fail("was parsed"))
    for other in (b"IxF2", b"IxPT", b"IwPR", b"IxMp", b"IHN9", b"\0\0\0\0", whole[start : start + 3]):
        assert faiss_file.read_built(memoryview(whole[:start] + other + whole[start + 4 :]), type) is None
