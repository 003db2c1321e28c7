"""Claims about states that part ways over one server: copies, forks, edits that fail, and other processes."""

from __future__ import annotations

import contextlib
import copy
import gc
import os
import pickle
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nearkin
from nearkin.contracts import Build, EngineChoice
from nearkin_milvus import METRICS, MilvusOptions, make_milvus
from nearkin_milvus import engine as engine_module
from nearkin_milvus.collection import PREFIX, client

N, DIMS = 3300, 128
"""More numbers than the index measures by itself, so that it asks the server; so do those that are left."""
GONE = range(0, N, 4)


def choice(uri: str, **options: Any) -> EngineChoice:
    return EngineChoice("milvus", MilvusOptions(uri=uri, **options), make_milvus, METRICS)


def filled(uri: str) -> nearkin.Index:
    index = nearkin.Index(metric="l2", class_rule="nearest", dim=DIMS, engine=choice(uri, index_type="FLAT"))
    index.add(drawn(0, N), ["a", "b", "c"] * (N // 3))
    return index


def drawn(seed: int, n: int) -> Any:
    return np.random.default_rng(seed).normal(size=(n, DIMS)).astype(np.float32)


def nearest(index: nearkin.Index, queries: Any) -> list[int]:
    return [answer.neighbors[0].id for answer in index.query(queries)]


def truly_nearest(index: nearkin.Index, queries: Any) -> list[int]:
    return nearest(copy.deepcopy(index).use_engine("flat"), queries)


def assert_right(*indexes: nearkin.Index) -> None:
    """Asked for its own references, for those of the others and for new ones, each answers as flat does."""
    queries = np.concatenate([drawn(0, 8), drawn(7, 4), drawn(5, 3)])
    for index in indexes:
        assert index._state.searcher.engine.exact
        assert nearest(index, queries) == truly_nearest(index, queries)


# ------------------------------------------------------------------------------------------------ in one process


def test_a_copy_that_loses_references_leaves_the_original_right(uri: str) -> None:
    index = filled(uri)
    copied = copy.deepcopy(index)
    copied.remove(ids=GONE)
    assert len(index) == N
    assert_right(index, copied)


def test_two_that_part_ways_give_the_same_new_ids_to_other_references(uri: str) -> None:
    index = filled(uri)
    copied = copy.deepcopy(index)
    assert index.add(drawn(7, 20), ["d"] * 20) == copied.add(drawn(5, 20), ["e"] * 20)
    copied.remove(labels="a")
    assert_right(index, copied)


def test_an_edit_that_fails_changes_nothing_for_those_who_read(uri: str, tmp_path: Path) -> None:
    filled(uri).save(tmp_path / "x")
    reader = nearkin.load_index(tmp_path / "x")
    with contextlib.suppress(KeyError), nearkin.edit_index(tmp_path / "x") as edited:
        edited.remove(ids=GONE)
        edited.add(drawn(7, len(GONE)), ["d"] * len(GONE))  # as many as before: a count cannot tell
        raise KeyError
    assert_right(reader, nearkin.load_index(tmp_path / "x"))


def test_a_copied_folder_stays_right_when_the_other_is_edited(uri: str, tmp_path: Path) -> None:
    filled(uri).save(tmp_path / "x")
    shutil.copytree(tmp_path / "x", tmp_path / "y")
    with nearkin.edit_index(tmp_path / "x") as edited:
        edited.remove(ids=GONE)
        edited.add(drawn(7, len(GONE)), ["d"] * len(GONE))
    assert_right(nearkin.load_index(tmp_path / "x"), nearkin.load_index(tmp_path / "y"))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda index: pickle.loads(pickle.dumps(index))])
def test_a_copy_outlives_its_original(uri: str, copied: Callable[[nearkin.Index], nearkin.Index]) -> None:
    index = filled(uri)
    again = copied(index)
    del index
    gc.collect()
    assert_right(again)


def test_a_pickle_is_opened_after_its_original_went(uri: str) -> None:
    index = filled(uri)
    data = pickle.dumps(index)
    del index
    gc.collect()
    before = collections(uri)
    again = pickle.loads(data)
    assert collections(uri) == before, "nothing is uploaded again"
    assert_right(again)
    client(MilvusOptions(uri=uri)).drop_collection(again._state.searcher.engine._collection.name)
    assert_right(pickle.loads(data))


def collections(uri: str) -> set[str]:
    return {name for name in client(MilvusOptions(uri=uri)).list_collections() if name.startswith(PREFIX)}


# ----------------------------------------------------------------------------------------- others' rows in the way


@dataclass(frozen=True)
class Known:
    """An engine, and what it should hold."""

    engine: Any
    ids: Any
    vectors: Any

    def changed(self, rng: np.random.Generator) -> Known:
        """Another: some went, some came, some have another vector."""
        new = np.sort(rng.choice(100, 15, replace=False))
        kept = (rng.random(len(self.ids)) < 0.6) & ~np.isin(self.ids, new)
        ids, order = np.unique(np.concatenate([self.ids[kept], new]), return_index=True)
        vectors = np.concatenate([self.vectors[kept], rng.normal(size=(15, 4)).astype(np.float32)])[order]
        return Known(self.engine.holding(ids, vectors, np.union1d(self.ids[~kept], new)), ids, vectors)

    def check(self, metric: Any, queries: Any, most: int) -> None:
        """The nearest, and nothing left out that is nearer than the floor; those within a radius; those among some."""
        half = self.ids[::2]
        for among in (None, half):
            ids, vectors = (self.ids, self.vectors) if among is None else (half, self.vectors[::2])
            apart = true_distances(queries, vectors, metric)
            for k in (1, 5, len(ids)):
                hits = self.engine.search(queries, k, among)
                n = min(k, most, len(ids))
                found = hits.ids.reshape(len(queries), n)
                assert (np.sort(found) == np.sort(ids[np.argsort(apart)[:, :n]])).all()
                left_out = [
                    row[~np.isin(ids, mine)].min(initial=np.inf) for row, mine in zip(apart, found, strict=True)
                ]
                assert (left_out >= hits.floor).all()
                assert (hits.floor >= apart[np.arange(len(apart)), np.argsort(apart)[:, n - 1].T] - 1e-2).all()
            radius = float(np.sort(apart, axis=1)[:, 3].min())
            within = self.engine.within(queries, radius, among)
            rows = np.repeat(np.arange(len(queries)), within.counts)
            assert {*zip(rows, within.ids, strict=True)} >= {(row, ids[at]) for row, at in np.argwhere(apart <= radius)}


def true_distances(queries: Any, vectors: Any, metric: Any) -> Any:
    a, b = queries.astype(np.float64), vectors.astype(np.float64)
    if metric == "l2":
        return np.linalg.norm(a[:, None] - b[None], axis=2)
    return 1 - a @ b.T / np.linalg.norm(a, axis=1)[:, None] / np.linalg.norm(b, axis=1)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(("most_hits", "few"), [(16_384, 4096), (8, 4096), (16_384, 10)])
def test_states_that_parted_are_each_answered_from_whole(
    uri: str, monkeypatch: pytest.MonkeyPatch, metric: Any, most_hits: int, few: int
) -> None:
    """However many rows of others are nearer, where Milvus gives few at a time, and where they are made anew."""
    monkeypatch.setattr(engine_module, "MOST_HITS", most_hits)
    monkeypatch.setattr(engine_module, "FEW", few)
    rng = np.random.default_rng(0)
    ids, vectors, queries = np.arange(30) * 3, rng.normal(size=(30, 4)), rng.normal(size=(4, 4))
    made = make_milvus(MilvusOptions(uri=uri, index_type="FLAT"), Build(seed=0, embedding_dim=4, metric=metric))
    states = [Known(made.holding(ids, vectors.astype(np.float32)), ids, vectors.astype(np.float32))]
    for _ in range(6):
        states.append(states[rng.integers(len(states))].changed(rng))
    assert (len({state.engine._collection.name for state in states}) > 1) == (few == 10)
    for state in states:
        state.check(metric, queries.astype(np.float32), most_hits)


# --------------------------------------------------------------------------------------------- other processes


EDIT = """
import sys, nearkin, numpy
with nearkin.edit_index(sys.argv[1]) as edited:
    edited.remove(ids=range(0, 3300, 4))
    edited.add(numpy.load(sys.argv[2]), ["d"] * 20)
"""


def test_a_reader_stays_right_while_another_process_edits(uri: str, tmp_path: Path) -> None:
    filled(uri).save(tmp_path / "x")
    reader = nearkin.load_index(tmp_path / "x")
    np.save(tmp_path / "new.npy", drawn(7, 20))
    subprocess.run([sys.executable, "-c", EDIT, tmp_path / "x", tmp_path / "new.npy"], check=True, timeout=600)
    edited = nearkin.load_index(tmp_path / "x")
    assert (len(reader), len(edited)) == (N, N - len(GONE) + 20)
    assert_right(reader, edited)


def test_what_goes_in_a_forked_process_stays_for_its_parent(uri: str) -> None:
    index = filled(uri)
    child = os.fork()
    if not child:
        index._state = index._state.blank()
        gc.collect()
        os._exit(0)
    deadline = time.monotonic() + 30
    while os.waitpid(child, os.WNOHANG)[0] == 0:
        assert time.monotonic() < deadline, "the forked process hangs"
        time.sleep(0.01)
    assert_right(index)
