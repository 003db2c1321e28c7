"""Claims about the engine on Milvus, over a socket to a Milvus Lite server on this machine."""

from __future__ import annotations

import io
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nearkin
from nearkin import NearkinError
from nearkin.contracts import Build, Engine, EngineChoice
from nearkin.testing import EngineContract
from nearkin_milvus import METRICS, MilvusOptions, make_milvus
from nearkin_milvus import keys as keys_module
from nearkin_milvus.collection import PREFIX, client


def made(uri: str, metric: Any = "l2", dims: int = 16, **options: Any) -> Any:
    return make_milvus(MilvusOptions(uri=uri, **options), Build(seed=0, embedding_dim=dims, metric=metric))


class OnServer(EngineContract):
    metrics = METRICS

    @pytest.fixture(autouse=True)
    def _server(self, uri: str) -> None:
        self.uri = uri


class TestFlat(OnServer):
    def make(self, build: Build) -> Engine:
        return make_milvus(MilvusOptions(uri=self.uri, index_type="FLAT"), build)


class TestAutoIndex(OnServer):
    metrics = ("cosine",)  # what is approximate does not rest on the metric; FLAT has both

    def make(self, build: Build) -> Engine:
        return make_milvus(MilvusOptions(uri=self.uri), build)


# ---------------------------------------------------------------------------------------------------- the index


def choice(uri: str, **options: Any) -> EngineChoice:
    return EngineChoice("milvus", MilvusOptions(uri=uri, **options), make_milvus, METRICS)


def filled(engine: Any, metric: Any = "l2", n: int = 150) -> nearkin.Index:
    """Three classes, calibrated."""
    rng = np.random.default_rng(0)
    labels = np.array(["a", "b", "c"])[np.arange(n) % 3]
    centres = {"a": 0.0, "b": 3.0, "c": -3.0}
    vectors = np.array([[1, centres[label]] * 4 for label in labels]) + 0.3 * rng.normal(size=(n, 8))
    index = nearkin.Index(metric=metric, class_rule="nearest", dim=8, engine=engine)
    index.add(vectors[: n - 60].astype(np.float32), labels[: n - 60].tolist())
    index.calibrate(vectors[n - 60 :].astype(np.float32), labels[n - 60 :].tolist())
    return index


def queries() -> Any:
    return np.random.default_rng(1).normal(size=(25, 8), scale=3).astype(np.float32)


@pytest.mark.parametrize("metric", METRICS)
def test_answers_are_those_of_a_laptop(uri: str, metric: Any) -> None:
    """Statuses, p-values, neighbours and their ids: what Milvus proposes, the store's distances decide."""
    on_server, on_laptop = filled(choice(uri, index_type="FLAT"), metric), filled("flat", metric)
    assert on_server.query(queries()) == on_laptop.query(queries())
    for index in (on_server, on_laptop):
        index.remove(labels="b")
        index.add(queries()[:3], ["d"] * 3)
    assert on_server.query(queries()) == on_laptop.query(queries())
    assert on_server.query(queries(), where={"label": "a"}) == on_laptop.query(queries(), where={"label": "a"})


def test_a_saved_index_finds_its_collection_again(uri: str, tmp_path: Path) -> None:
    index = filled(choice(uri))
    index.save(tmp_path / "x")
    before = collections(uri)
    loaded = nearkin.load_index(tmp_path / "x")
    assert loaded.query(queries()) == index.query(queries())
    assert collections(uri) <= before
    assert str(loaded.promise) == str(index.promise)
    named = [answer.label for answer in index.query(queries())]
    client(MilvusOptions(uri=uri)).drop_collection(engine_of(loaded)._collection.name)
    anew = nearkin.load_index(tmp_path / "x")
    assert [answer.label for answer in anew.query(queries())] == named


def engine_of(index: nearkin.Index) -> Any:
    return index._state.searcher.engine


# -------------------------------------------------------------------------------------------------- refused


NOWHERE = "http://127.0.0.1:9"
"""Nothing listens there: whatever asks it fails."""


@pytest.mark.parametrize(
    ("metric", "dims", "said"), [("l1", 8, "no metric 'l1'"), ("l2", 1, "1 dimensions"), ("cosine", 40_000, "40000")]
)
def test_what_milvus_cannot_do_is_refused_before_it_is_asked(metric: Any, dims: int, said: str) -> None:
    with pytest.raises(NearkinError, match=said):
        made(NOWHERE, metric, dims)


def test_a_server_that_is_not_there_is_named() -> None:
    engine = made(NOWHERE, timeout_seconds=0.5)
    with pytest.raises(NearkinError, match=r"milvus at http://127.0.0.1:9: .*Look whether the server runs"):
        engine.holding(np.arange(3), np.ones((3, 16), dtype=np.float32))


def test_what_the_server_refuses_is_said_in_its_words(uri: str) -> None:
    engine, _, vectors = held(uri)
    client(MilvusOptions(uri=uri)).drop_collection(engine._collection.name)
    with pytest.raises(NearkinError, match=f"milvus at {uri}: collection .* does not exist"):
        engine.search(vectors[:1], 2)


def test_a_token_comes_from_the_environment_and_its_absence_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MILVUS_MINE", raising=False)
    with pytest.raises(NearkinError, match="MILVUS_MINE holds no token"):
        made(NOWHERE, token_from="MILVUS_MINE").holding(np.arange(3), np.ones((3, 16), dtype=np.float32))


def test_no_other_secret_of_the_environment_can_be_asked_for() -> None:
    with pytest.raises(ValueError, match="token_from"):
        MilvusOptions(token_from="AWS_SECRET_ACCESS_KEY")


# ------------------------------------------------------------------------------------------- collections


def collections(uri: str) -> set[str]:
    return {name for name in client(MilvusOptions(uri=uri)).list_collections() if name.startswith(PREFIX)}


def held(uri: str, n: int = 40) -> tuple[Any, Any, Any]:
    ids, vectors = np.arange(n) * 2, np.random.default_rng(n).normal(size=(n, 16)).astype(np.float32)
    return made(uri).holding(ids, vectors), ids, vectors


def test_a_collection_goes_with_its_last_engine_unless_an_index_was_saved_with_it(uri: str) -> None:
    before = collections(uri)
    engine, *_ = held(uri)
    kept, *_ = held(uri)
    kept.write(io.BytesIO())
    assert len(collections(uri) - before) == 2
    del engine, kept
    assert len(collections(uri) - before) == 1


def test_what_was_saved_is_met_again_and_what_changed_since_is_made_anew(uri: str) -> None:
    engine, ids, vectors = held(uri)
    file = io.BytesIO()
    engine.write(file)
    data = memoryview(file.getvalue())
    assert made(uri).opened(data, ids, vectors).fingerprint == engine.fingerprint
    for other_ids, other_vectors in ((ids[1:], vectors[1:]), (ids, vectors[::-1].copy())):
        opened = made(uri).opened(data, other_ids, other_vectors)
        assert opened.fingerprint != engine.fingerprint
        assert opened.search(other_vectors[:5], 1).ids.tolist() == other_ids[:5].tolist()


def test_a_process_that_was_forked_asks_over_a_connection_of_its_own(uri: str) -> None:
    engine, ids, vectors = held(uri)
    child = os.fork()
    if not child:
        found = engine.search(vectors[:3], 1).ids.tolist() == ids[:3].tolist()
        os._exit(0 if found else 1)
    deadline = time.monotonic() + 30
    while (ended := os.waitpid(child, os.WNOHANG))[0] == 0:
        assert time.monotonic() < deadline, "the forked process hangs"
        time.sleep(0.01)
    assert ended[1] == 0


def test_milvus_is_never_asked_for_more_than_its_search_looks_at() -> None:
    """It refuses such a search, and where others' rows take places it is asked for more than k."""
    engine = made(NOWHERE, search_params={"ef": 64, "nprobe": 8})
    assert engine._params(64, None) == {}
    assert engine._params(168, None) == {"ef": 168}
    assert made(NOWHERE)._params(168, None) == {}


def test_fewer_than_strong_consistency_is_never_called_exact(uri: str) -> None:
    assert made(uri, index_type="FLAT").exact
    assert not made(uri, index_type="FLAT", consistency="Bounded").exact
    assert not made(uri).exact


@given(st.sets(st.integers(0, 60)), st.data(), st.integers(1, 5))
def test_a_filter_lets_through_those_named_and_no_other(there: set[int], data: st.DataObject, terms: int) -> None:
    """Whatever else is in the collection."""
    some = sorted(data.draw(st.sets(st.sampled_from(sorted(there))) if there else st.just(set())))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keys_module, "MOST_TERMS", terms)
        filters = keys_module.expressions(np.array(some, dtype=np.int64))
    assert sorted(id for id in there for one in filters if eval(one, {"id": id})) == some


@given(st.lists(st.integers(0, 2**62), min_size=1, unique=True))
def test_keys_are_read_as_they_were_written(keys: list[int]) -> None:
    data = keys_module.written_keys("x", np.array(keys, dtype=np.int64))
    said = keys_module.read_keys(memoryview(data), len(keys))
    assert said is not None
    assert (said[0], said[1].tolist()) == ("x", keys)
    assert keys_module.read_keys(memoryview(data), len(keys) + 1) is None


@pytest.mark.parametrize(
    "runs", [[[1, 2], [2, 1]], [[-1, 3]], [[0, 3, 0]], [[2**63, 3]], [[0.0, 3]], [[0, 4], [9, -1]], 3]
)
def test_keys_that_nobody_wrote_are_not_believed(runs: Any) -> None:
    said = {"format": keys_module.FORMAT, "collection": "x", "keys": runs}
    assert keys_module.read_keys(memoryview(json.dumps(said).encode()), 3) is None
