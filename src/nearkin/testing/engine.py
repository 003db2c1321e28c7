"""What every index engine promises, for each metric that it declares."""

from __future__ import annotations

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from nearkin.contracts import Build, Engine, EngineChoice, FloatArray, Hits, IntArray, Metric, Options
from nearkin.errors import IndexCallError
from nearkin.index import Index
from nearkin.index.distances import distances

N, DIMS, NEAREST = 300, 16, 10


class EngineContract:
    """Subclass, name the metrics that the engine declares, and implement `make`."""

    metrics: tuple[Metric, ...] = ("l2",)
    recall = 0.9
    """The share of the truly nearest ten that an engine which is not exact must find among 300 vectors."""

    def make(self, build: Build) -> Engine:
        """The engine, holding nothing, for `build.metric` and `build.embedding_dim`."""
        raise NotImplementedError("say how your engine is made")

    # -------------------------------------------------------------------------------------------- nearest

    def test_the_nearest_are_found(self) -> None:
        """Truly the nearest where it is exact, else most of them; un-normalised vectors under cosine too."""
        for metric in self.metrics:
            ids, vectors = some(N)
            queries = some(20, seed=1)[1]
            engine = filled(self, metric)
            assert (engine.fingerprint == "exact") == engine.exact, metric  # calibration rests on what it says
            hits = engine.search(queries, NEAREST)
            assert hits.counts.tolist() == [NEAREST] * 20, metric
            true = ids[np.argsort(distances(queries, vectors, metric), axis=1)[:, :NEAREST]]
            found = [len(set(mine) & set(row.tolist())) for mine, row in zip(per_query(hits), true, strict=True)]
            assert np.mean(found) / NEAREST >= (1 if engine.exact else self.recall), metric

    def test_distances_are_in_the_metric_and_ascend(self) -> None:
        """Roughly: the index measures again; and off by no more than the engine says, where it says."""
        for metric in self.metrics:
            ids, vectors = some(N)
            engine = filled(self, metric)
            for n in (5, 40):  # FAISS computes larger batches in another way
                queries = some(n, seed=1)[1]
                hits = engine.search(queries, NEAREST)
                rows = np.repeat(np.arange(n), hits.counts)
                measured = distances(queries, vectors, metric)[rows, np.searchsorted(ids, hits.ids)]
                assert (np.diff(hits.distances.reshape(n, -1), axis=1) >= -1e-3).all(), metric
                if engine.exact:
                    np.testing.assert_allclose(hits.distances, measured, rtol=1e-3, atol=1e-3)
                assert hits.off is None or (np.abs(hits.distances - measured) <= hits.off).all(), metric

    def test_nothing_left_out_is_nearer_than_the_floor(self) -> None:
        """And an engine that is not exact promises no floor."""
        for metric in self.metrics:
            ids, vectors = some(N)
            queries = some(20, seed=1)[1]
            engine = filled(self, metric)
            hits = engine.search(queries, NEAREST)
            exact = distances(queries, vectors, metric)
            for row, mine in enumerate(per_query(hits)):
                assert exact[row, ~np.isin(ids, list(mine))].min() >= hits.floor[row], metric
            assert engine.exact or not hits.floor.any(), metric

    def test_asked_for_more_than_there_are_it_gives_all_once(self) -> None:
        """No padding, no id twice."""
        for metric in self.metrics:
            for n in (1, 2, 30):
                hits = filled(self, metric, n).search(some(3, seed=1)[1], 1000)
                assert [sorted(row) for row in lists(hits)] == [some(n)[0].tolist()] * 3, (metric, n)

    def test_an_empty_engine_proposes_nothing(self) -> None:
        """Before anything came, and after all went."""
        for metric in self.metrics:
            nothing = np.zeros(0, dtype=np.int64), np.zeros((0, DIMS), dtype=np.float32)
            for engine in (self.empty(metric), self.empty(metric).holding(*nothing), emptied(self, metric)):
                assert len(engine) == 0, metric
                assert engine.search(some(3)[1], 5).counts.tolist() == [0, 0, 0], metric
                assert engine.within(some(3)[1], 5.0).counts.tolist() == [0, 0, 0], metric

    def test_copies_of_one_vector_are_all_found(self) -> None:
        """Ids tell them apart."""
        for metric in self.metrics:
            ids = np.arange(40, dtype=np.int64) * 3
            vectors = np.repeat(some(2)[1], 20, axis=0)
            hits = self.empty(metric).holding(ids, vectors).search(vectors[:1], 20)
            assert sorted(hits.ids.tolist()) == ids[:20].tolist(), metric

    # -------------------------------------------------------------------------------------------- changes

    def test_what_was_removed_is_never_proposed_again(self) -> None:
        """Not even to a query that is its copy."""
        for metric in self.metrics:
            ids, vectors = some(N)
            gone = ids[::3]
            engine = changed_to(filled(self, metric), ids[~np.isin(ids, gone)], vectors[~np.isin(ids, gone)], gone)
            hits = engine.search(vectors[::3], NEAREST)
            assert not np.isin(hits.ids, gone).any(), metric
            assert len(engine) == N - len(gone), metric
            assert (hits.counts == NEAREST).all(), metric

    def test_what_was_added_is_found(self) -> None:
        """To what there was, and at once."""
        for metric in self.metrics:
            ids, vectors = some(N)
            engine = changed_to(filled(self, metric, N - 20), ids, vectors, ids[N - 20 :])
            hits = engine.search(vectors[N - 20 :], 1)
            assert hits.ids.tolist() == ids[N - 20 :].tolist(), metric

    def test_an_id_with_another_vector_is_found_there_and_only_there(self) -> None:
        """Upsert."""
        for metric in self.metrics:
            ids, vectors = some(N)
            moved = vectors.copy()
            moved[:5] = 50 * some(5, seed=9)[1]
            engine = changed_to(filled(self, metric), ids, moved, ids[:5])
            assert engine.search(moved[:5], 1).ids.tolist() == ids[:5].tolist(), metric
            whole = engine.search(vectors[:5], N)
            assert [sorted(row) for row in lists(whole)] == [ids.tolist()] * 5, metric

    def test_many_small_changes_end_where_one_would(self) -> None:
        """Whatever is kept aside between them."""
        for metric in self.metrics:
            ids, vectors = some(N)
            rng = np.random.default_rng(0)
            engine, held = self.empty(metric), np.zeros(N, dtype=bool)
            for _ in range(8):
                flipped = rng.random(N) < 0.3
                held ^= flipped
                engine = changed_to(engine, ids[held], vectors[held], ids[flipped])
            hits = engine.search(vectors[:50], int(held.sum()))
            assert [sorted(row) for row in lists(hits)] == [ids[held].tolist()] * 50, metric

    def test_an_engine_still_serves_its_readers_after_another_was_made_of_it(self) -> None:
        """All that it held, what the other lost and what has another vector there included."""
        for metric in self.metrics:
            ids, vectors = some(N)
            before, moved = filled(self, metric), some(N, seed=9)[1]
            changed_to(before, ids[: N // 2], moved[: N // 2], ids)
            found = before.search(vectors, 1).ids
            assert np.mean(found == ids) >= (1 if before.exact else self.recall), metric

    def test_two_made_of_one_do_not_disturb_each_other(self) -> None:
        """Not even where they give one id to different vectors."""
        for metric in self.metrics:
            ids, vectors = some(N)
            half, old = filled(self, metric, N // 2), ids[: N // 4]
            moved = vectors.copy()
            moved[N // 2 :] = some(N, seed=9)[1][N // 2 :]
            one = changed_to(half, ids, vectors, ids[N // 2 :])
            other = changed_to(half, ids[N // 4 :], moved[N // 4 :], np.append(old, ids[N // 2 :]))
            for engine, own, its in ((one, ids, vectors), (other, ids[N // 4 :], moved[N // 4 :])):
                found = engine.search(its, 1).ids
                assert np.mean(found == own) >= (1 if engine.exact else self.recall), metric
                assert len(engine) == len(own), metric

    # --------------------------------------------------------------------------- filters, range and reload

    def test_only_those_among_are_proposed(self) -> None:
        """The nearest of them, all of them where fewer are asked; ids that it does not hold count for nothing."""
        for metric in self.metrics:
            ids = some(N)[0]
            engine, queries = filled(self, metric), some(10, seed=1)[1]
            for among in (ids[::7], ids[:3], ids[1::2]):
                hits = engine.search(queries, NEAREST, among=np.append(among, 10**9))
                assert np.isin(hits.ids, among).all(), metric
                assert (hits.counts == min(NEAREST, len(among))).all(), metric
            assert engine.search(queries, NEAREST, among=np.zeros(0, dtype=np.int64)).counts.sum() == 0, metric

    def test_all_within_a_radius_are_proposed(self) -> None:
        """None where it is too small, all where it is large; among those named alone."""
        for metric in self.metrics:
            ids, vectors = some(N)
            engine, queries = filled(self, metric), some(10, seed=1)[1]
            exact = distances(queries, vectors, metric)
            radius = float(np.quantile(exact, 0.05))
            found = lists(engine.within(queries, radius))
            there = sum(
                len(set(ids[row <= radius].tolist()) & set(mine)) for row, mine in zip(exact, found, strict=True)
            )
            assert there >= (1 if engine.exact else self.recall) * (exact <= radius).sum(), metric
            assert all(len(mine) == len(set(mine)) for mine in found), metric
            some_ids = engine.within(queries, radius, among=ids[::2]).ids
            assert np.isin(some_ids, ids[::2]).all(), metric

    def test_written_and_opened_it_proposes_the_same(self) -> None:
        """Changes included."""
        for metric in self.metrics:
            ids, vectors = some(N)
            engine = changed_to(filled(self, metric), ids[10:], vectors[10:], ids[:10])
            file = io.BytesIO()
            engine.write(file)
            opened = self.empty(metric).opened(memoryview(file.getvalue()), ids[10:], vectors[10:])
            queries = some(20, seed=1)[1]
            for made, again in zip(lists(engine.search(queries, 5)), lists(opened.search(queries, 5)), strict=True):
                assert made == again, metric
            assert (len(opened), opened.fingerprint) == (len(engine), engine.fingerprint), metric

    def test_bytes_that_do_not_fit_are_not_believed(self) -> None:
        """Cut, or of another state: it is made anew."""
        for metric in self.metrics:
            ids, vectors = some(N)
            file = io.BytesIO()
            filled(self, metric).write(file)
            for data in (b"", b"nothing that it wrote", file.getvalue()[:-1], file.getvalue()):
                opened = self.empty(metric).opened(memoryview(data), ids[5:], vectors[5:])
                hits = opened.search(vectors[5:], 1)
                assert len(opened) == N - 5, metric
                assert not np.isin(hits.ids, ids[:5]).any(), metric

    # ------------------------------------------------------------------------------------------- the index

    def test_an_index_over_it_refuses_what_no_engine_should_see(self) -> None:
        """NaN, infinities, other dimensions, and zero vectors under cosine."""
        for metric in self.metrics:
            index = indexed(self, metric)
            bad = [np.full(DIMS, np.nan), np.full(DIMS, np.inf), np.ones(DIMS + 1), np.full(DIMS, 1e30)]
            for vector in [*bad, *([np.zeros(DIMS)] if metric == "cosine" else [])]:
                with pytest.raises(IndexCallError):
                    index.query(vector)
                with pytest.raises(IndexCallError):
                    index.add(vector, "a")
            assert index.query(some(1)[1][0]).label in index.labels

    def test_readers_and_one_writer_do_not_disturb_each_other(self) -> None:
        """Every answer is of one state, whole: of two labels that change places, exactly one is there."""
        for metric in self.metrics:
            index = Index(metric=metric, class_rule="nearest", dim=DIMS, engine=self.choice(metric))
            vectors = some(60)[1]
            index.add(vectors, ["a"] * 60)

            def read(index: Index = index, queries: FloatArray = vectors[:5]) -> list[str]:
                return [answer.label for _ in range(20) for answer in index.query(queries, k=3)]

            with ThreadPoolExecutor(4) as pool:
                reading = [pool.submit(read) for _ in range(4)]
                for _ in range(5):
                    ids = index.add(vectors[:20] + np.float32(0.5), ["b"] * 20)
                    index.remove(ids=ids)
                labels = {label for done in reading for label in done.result()}
            assert labels <= {"a", "b"}, metric

    # --------------------------------------------------------------------------------------------- helpers

    def empty(self, metric: Metric) -> Engine:
        """Holding nothing."""
        return self.make(Build(seed=0, embedding_dim=DIMS, metric=metric))

    def choice(self, metric: Metric) -> EngineChoice:
        """As an index takes it."""
        return EngineChoice("tested", Options(), lambda options, build: self.make(build), (metric,))


def some(n: int, *, seed: int = 0) -> tuple[IntArray, FloatArray]:
    """(n,) ascending ids with gaps, (n, 16) vectors of different lengths; the first of a larger draw."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(1000, DIMS)) * rng.uniform(0.5, 2, size=(1000, 1))
    return np.arange(n, dtype=np.int64) * 7 + 3, vectors[:n].astype(np.float32)


def filled(suite: EngineContract, metric: Metric, n: int = N) -> Engine:
    """Holding `some(n)`."""
    return suite.empty(metric).holding(*some(n))


def emptied(suite: EngineContract, metric: Metric) -> Engine:
    """Holding nothing any more."""
    ids, vectors = some(N)
    return changed_to(filled(suite, metric), ids[:0], vectors[:0], ids)


def changed_to(engine: Engine, ids: IntArray, vectors: FloatArray, changed: IntArray) -> Engine:
    """The next engine, told only what changed."""
    return engine.holding(ids, vectors, changed=changed)


def indexed(suite: EngineContract, metric: Metric) -> Index:
    """An index of two classes over it."""
    index = Index(metric=metric, class_rule="nearest", dim=DIMS, engine=suite.choice(metric))
    index.add(some(20)[1], ["a", "b"] * 10)
    return index


def lists(hits: Hits) -> list[list[int]]:
    """The ids for each query, in order."""
    return [part.tolist() for part in np.split(hits.ids, np.cumsum(hits.counts)[:-1])]


def per_query(hits: Hits) -> Iterator[set[int]]:
    """The ids for each query."""
    return (set(ids) for ids in lists(hits))
