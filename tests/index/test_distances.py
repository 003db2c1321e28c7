"""Claims about exact distances."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import pairwise_distances

from nearkin.contracts import Metric
from nearkin.index import distances as module
from nearkin.index.distances import distances

METRICS: tuple[Metric, ...] = ("l1", "l2", "cosine")
SKLEARN = {"l1": "manhattan", "l2": "euclidean", "cosine": "cosine"}


def drawn(seed: int, q: int, n: int, d: int, scale: float = 1.0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(m, d)).astype(np.float32) * np.float32(scale) for m in (q, n))  # type: ignore[return-value]


@pytest.mark.parametrize("metric", METRICS)
@given(seed=st.integers(0, 2**32 - 1), q=st.integers(1, 9), n=st.integers(1, 40), d=st.integers(1, 70),
       scale=st.sampled_from([1e-6, 1.0, 1e6]))  # fmt: skip
@settings(deadline=None, max_examples=25)
def test_distances_are_those_of_scikit_learn_in_float64(
    metric: Metric, seed: int, q: int, n: int, d: int, scale: float
) -> None:
    queries, references = drawn(seed, q, n, d, scale)
    expected = pairwise_distances(queries.astype(float), references.astype(float), metric=SKLEARN[metric])
    np.testing.assert_allclose(distances(queries, references, metric), expected, rtol=1.2e-7, atol=1e-9 * scale)


@pytest.mark.parametrize("metric", METRICS)
@given(seed=st.integers(0, 2**32 - 1), q=st.integers(2, 40), n=st.integers(1, 40), d=st.integers(1, 130))
@settings(deadline=None, max_examples=25)
def test_a_query_is_as_far_alone_as_in_a_batch_bit_for_bit(metric: Metric, seed: int, q: int, n: int, d: int) -> None:
    queries, references = drawn(seed, q, n, d)
    batch = distances(queries, references, metric)
    alone = np.concatenate([distances(queries[i : i + 1], references, metric) for i in range(q)])
    one_by_one = np.concatenate([distances(queries, references[j : j + 1], metric) for j in range(n)], axis=1)
    assert np.array_equal(batch, alone)
    assert np.array_equal(batch, one_by_one)


@pytest.mark.parametrize("metric", METRICS)
def test_chunks_do_not_change_a_bit(metric: Metric, monkeypatch: pytest.MonkeyPatch) -> None:
    queries, references = drawn(0, 30, 50, 64)
    whole = distances(queries, references, metric)
    monkeypatch.setattr(module, "CHUNK", 100)
    assert np.array_equal(distances(queries, references, metric), whole)


@pytest.mark.parametrize("metric", METRICS)
def test_an_embedding_is_at_zero_from_itself(metric: Metric) -> None:
    queries, _ = drawn(0, 20, 1, 33)
    assert (np.diag(distances(queries, queries, metric)) == 0).all()


def test_cosine_distances_of_near_vectors_keep_their_digits() -> None:
    angle = 1e-5
    left, right = np.array([[1.0, 0.0]]), np.array([[np.cos(angle), np.sin(angle)]])
    np.testing.assert_allclose(distances(left, right, "cosine"), [[angle**2 / 2]], rtol=1e-6)


def test_a_zero_vector_has_cosine_zero_to_all() -> None:
    vectors = np.array([[0.0, 0.0], [3.0, 4.0]])
    np.testing.assert_allclose(distances(vectors, vectors, "cosine"), [[1, 1], [1, 0]], atol=1e-12)


@pytest.mark.parametrize("metric", METRICS)
def test_no_rows_give_no_distances(metric: Metric) -> None:
    assert distances(np.zeros((0, 3)), np.ones((2, 3)), metric).shape == (0, 2)
    assert distances(np.ones((2, 3)), np.zeros((0, 3)), metric).shape == (2, 0)
