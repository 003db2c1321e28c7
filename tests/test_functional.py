"""The tensor helpers equal their float64 numpy and scipy definitions."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from nearkin.contracts import Metric
from nearkin.functional import class_means, class_scores, pairwise_distances

SCIPY_NAME = {"l1": "cityblock", "l2": "euclidean", "cosine": "cosine"}


@pytest.fixture
def space() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    queries, support = torch.randn(7, 5, generator=generator), torch.randn(9, 5, generator=generator)
    return queries, support, torch.tensor([0, 1, 2] * 3)


@pytest.mark.parametrize("metric", get_args(Metric))
def test_distances_equal_scipys(metric: Metric, space: tuple[torch.Tensor, ...]) -> None:
    queries, support, _ = space
    expected = cdist(queries.double().numpy(), support.double().numpy(), SCIPY_NAME[metric])
    np.testing.assert_allclose(pairwise_distances(queries, support, metric).numpy(), expected, rtol=1e-4, atol=1e-5)


def test_class_means_equal_numpys_whatever_the_order(space: tuple[torch.Tensor, ...]) -> None:
    _, support, labels = space
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(1))
    expected = np.stack([support[labels == code].double().numpy().mean(axis=0) for code in range(3)])
    np.testing.assert_allclose(class_means(support[order], labels[order]).numpy(), expected, atol=1e-6)


def test_a_class_without_embeddings_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"codes \[1\]"):
        class_means(torch.zeros(2, 3), torch.tensor([0, 2]))


def test_nearest_scores_are_minus_the_distance_to_the_nearest_support(space: tuple[torch.Tensor, ...]) -> None:
    queries, support, labels = space
    scores = class_scores(queries, support, labels, metric="l1", rule="nearest").numpy()
    apart = cdist(queries.numpy(), support.numpy(), "cityblock")
    for code in range(3):
        np.testing.assert_allclose(scores[:, code], -apart[:, labels.numpy() == code].min(axis=1), rtol=1e-5)


def test_prototype_scores_are_minus_the_distance_to_the_mean(space: tuple[torch.Tensor, ...]) -> None:
    queries, support, labels = space
    scores = class_scores(queries, support, labels, metric="l2", rule="prototype").numpy()
    expected = -cdist(queries.numpy(), class_means(support, labels).numpy())
    np.testing.assert_allclose(scores, expected, rtol=1e-5)


def test_attention_is_a_softmax_over_cosines_summed_a_class(space: tuple[torch.Tensor, ...]) -> None:
    queries, support, labels = space
    scores = class_scores(queries, support, labels, metric="cosine", rule="attention").numpy()
    weights = np.exp(1 - cdist(queries.numpy(), support.numpy(), "cosine"))
    weights /= weights.sum(axis=1, keepdims=True)
    expected = np.stack([weights[:, labels.numpy() == code].sum(axis=1) for code in range(3)], axis=1)
    np.testing.assert_allclose(scores, expected, rtol=1e-5)
    np.testing.assert_allclose(scores.sum(axis=1), 1, rtol=1e-5)
