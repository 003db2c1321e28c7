"""Claims about the FAISS engine: exact, whatever FAISS rounds."""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from nearkin.contracts import Metric
from nearkin.index import Index
from nearkin.index import clusters as clusters_module
from nearkin.index import searcher as searcher_module
from nearkin.index.clusters import attention, look_up
from nearkin.index.distances import distances
from nearkin.index.searcher import Searcher

METRICS: tuple[Metric, ...] = ("l1", "l2", "cosine")
SKLEARN = {"l1": "manhattan", "l2": "euclidean", "cosine": "cosine"}


def engine_of(vectors: Any, metric: Metric, labels: Any = None, ids: Any = None) -> Searcher:
    index = Index(metric=metric, class_rule="nearest", dim=vectors.shape[1])
    index.add(vectors, ["a"] * len(vectors) if labels is None else labels, ids=ids)
    return index._state.searcher


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("n", [5, 200, 3000])
def test_neighbours_are_those_of_scikit_learn(metric: Metric, n: int) -> None:
    rng = np.random.default_rng(n)
    vectors = rng.normal(size=(n, 16)).astype(np.float32)
    queries = rng.normal(size=(40, 16)).astype(np.float32)
    found_positions, found = engine_of(vectors, metric).search(queries, 7)
    k = min(7, n)
    model = NearestNeighbors(n_neighbors=k, metric=SKLEARN[metric], algorithm="brute").fit(vectors.astype(float))
    expected, positions = model.kneighbors(queries.astype(float))
    assert np.array_equal(found_positions, positions)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("batch", [1, 25])
@pytest.mark.parametrize("spread", [1e-3, 0.1, 0.3, 1.0, 3.0])
def test_neighbours_are_exact_where_faiss_has_no_digits_left(
    metric: Metric, batch: int, spread: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faiss.cvar, "distance_compute_blas_threshold", 20)  # newer FAISS keeps it for larger batches
    rng = np.random.default_rng(0)
    # Far from the origin and close together: |x|^2 + |y|^2 - 2 x.y in float32 is mostly noise.
    vectors = (1000 + spread * rng.normal(size=(600, 8))).astype(np.float32)
    queries = (1000 + spread * rng.normal(size=(batch, 8))).astype(np.float32)
    positions, found = engine_of(vectors, metric).search(queries, 5)
    exact = distances(queries, vectors, metric)
    assert np.array_equal(positions, np.argsort(exact, axis=1, kind="stable")[:, :5])
    assert np.array_equal(found, np.take_along_axis(exact, positions, axis=1))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("step", [1e-9, 1e-8, 3e-8, 1e-7, 1e-6])
def test_neighbours_are_exact_where_distances_differ_in_the_last_digit(metric: Metric, step: float) -> None:
    rng = np.random.default_rng(2)
    base = rng.normal(size=700)
    vectors = np.stack([rng.permutation(base) * (1 + step * i) for i in rng.permutation(400)]).astype(np.float32)
    queries = np.concatenate([np.full((1, 700), 1e-3), 0.01 * rng.normal(size=(9, 700))]).astype(np.float32)
    positions, _ = engine_of(vectors, metric).search(queries, 5)
    exact = distances(queries, vectors, metric)
    assert np.array_equal(positions, np.argsort(exact, axis=1, kind="stable")[:, :5])


@pytest.mark.parametrize("metric", METRICS)
@given(seed=st.integers(0, 2**32 - 1), k=st.integers(1, 60))
@settings(deadline=None, max_examples=15)
def test_ties_come_in_the_order_of_ids(metric: Metric, seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.integers(1, 3, size=(150, 2)).astype(np.float32)  # four different points
    ids = rng.permutation(150)
    engine = engine_of(vectors, metric, ids=ids.tolist())
    positions, found = engine.search(vectors[:3], k)
    keys = [list(zip(row.tolist(), engine.references.ids[at].tolist(), strict=True))
            for row, at in zip(found, positions, strict=True)]  # fmt: skip
    assert all(row == sorted(row) for row in keys)
    exact = distances(vectors[:3], engine.references.vectors, metric)
    assert np.array_equal(positions, np.argsort(exact, axis=1, kind="stable")[:, :k])


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("k", [1, 3])
def test_classes_are_as_far_by_growing_search_as_by_looking_at_all(
    metric: Metric, k: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(1)
    vectors, queries = (rng.normal(size=(m, 4)).astype(np.float32) for m in (900, 30))
    labels = [*("abc"[i % 3] for i in range(898)), "pair", "pair"]
    engine = engine_of(vectors, metric, labels)
    monkeypatch.setattr(searcher_module, "LOOKED_AT", 10)
    monkeypatch.setattr(clusters_module, "FIRST", 10)
    monkeypatch.setattr(clusters_module, "HELD", 100)
    found = look_up(engine, queries, k=k, neighbors=4)
    exact = distances(queries, vectors, metric)
    for column, label in enumerate(engine.references.classes):
        own = np.sort(exact[:, [i for i, other in enumerate(labels) if other == label]], axis=1)
        assert np.array_equal(found.nearest[:, column], own[:, 0])
        expected = own[:, k - 1] if k <= own.shape[1] else np.full(len(queries), np.inf)
        assert np.array_equal(found.kth[:, column], expected)
    assert np.array_equal(found.positions, np.argsort(exact, axis=1, kind="stable")[:, :4])


def test_attention_is_a_softmax_over_cosines_summed_by_class() -> None:
    rng = np.random.default_rng(0)
    vectors, queries = (rng.normal(size=(m, 6)) for m in (12, 5))
    references = engine_of(vectors.astype(np.float32), "cosine", list("abcabcabcaab")).references
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (queries, vectors)]
    weights = np.exp(unit[0] @ unit[1].T)
    weights /= weights.sum(axis=1, keepdims=True)
    expected = np.stack([weights[:, references.codes == code].sum(axis=1) for code in range(3)], axis=1)
    shares = attention(references, queries.astype(np.float32))
    np.testing.assert_allclose(shares, expected, rtol=1e-5)
    assert np.array_equal(shares[2:3], attention(references, queries[2:3].astype(np.float32)))
