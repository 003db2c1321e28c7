"""The prototypical method is the paper's, in every variant, and cares for nothing but distances to classes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nearkin import load_registries
from nearkin.contracts import Build, Episode, Method
from nearkin.testing import MethodContract
from nearkin_prototypical import PrototypicalOptions
from nearkin_prototypical.method import Prototypical

DIMS = 6
LABELS = torch.tensor([4, 4, 9, 9, 2, 2, 9, 2, 4])
EPISODE = Episode(torch.arange(6), torch.arange(6, 9))
"""Two support images of each of three classes, whose codes are not 0, 1, 2; a query of each."""
VARIANTS = [
    PrototypicalOptions(),
    PrototypicalOptions(distance="cosine", scale=10.0),
    PrototypicalOptions(neighbors=1),
    PrototypicalOptions(neighbors=2),
]


def embeddings(count: int = 9, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, DIMS, generator=torch.Generator().manual_seed(seed))


def reference_scores(
    queries: NDArray[np.float64], support: NDArray[np.float64], codes: NDArray[np.int64], options: PrototypicalOptions
) -> NDArray[np.float64]:
    """Equations 1 and 2 in float64, one query and one class at a time."""

    def distance(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
        if options.distance == "cosine":
            return float(1 - a @ b / np.sqrt((a @ a) * (b @ b)))
        return float(np.sum((a - b) ** 2))

    def to_class(query: NDArray[np.float64], members: NDArray[np.float64]) -> float:
        if options.neighbors is None:
            return distance(query, members.mean(axis=0))
        return float(np.mean(sorted(distance(query, member) for member in members)[: options.neighbors]))

    of_class = [support[codes == code] for code in range(codes.max() + 1)]
    return np.array([[-options.scale * to_class(query, members) for members in of_class] for query in queries])


def test_the_entry_point_brings_the_method() -> None:
    component = load_registries().method.get("prototypical")
    assert component.distribution == "nearkin-prototypical"
    assert component.takes == ("episode",)


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_scores_and_loss_are_the_papers_in_float64_numpy(options: PrototypicalOptions) -> None:
    method, raw = Prototypical(options), embeddings()
    e, codes = raw.double().numpy(), np.array([1, 1, 2, 2, 0, 0])
    expected = reference_scores(e[6:], e[:6], codes, options)
    scores = method.compare(raw[6:], raw[:6], torch.from_numpy(codes))
    np.testing.assert_allclose(scores.numpy(), expected, rtol=1e-5, atol=1e-5)
    log_p = expected - np.log(np.exp(expected).sum(axis=1, keepdims=True))
    assert method.loss(raw, LABELS, EPISODE).item() == pytest.approx(-log_p[[0, 1, 2], [2, 0, 1]].mean(), rel=1e-4)


def test_a_worked_example() -> None:
    support = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 4.0]])
    scores = Prototypical(PrototypicalOptions()).compare(torch.tensor([[1.0, 1.0]]), support, torch.tensor([0, 0, 1]))
    assert scores.tolist() == [[-1.0, -10.0]]


@pytest.mark.parametrize("options", VARIANTS, ids=str)
@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000), order=st.permutations(range(6)), names=st.permutations(range(3)))
def test_neither_support_order_nor_class_names_matter(
    options: PrototypicalOptions, seed: int, order: list[int], names: list[int]
) -> None:
    method, queries, support = Prototypical(options), embeddings(4, seed), embeddings(6, seed + 1)
    codes = torch.tensor([0, 0, 1, 1, 2, 2])
    scores = method.compare(queries, support, codes)
    shuffled = method.compare(queries, support[order], codes[order])
    assert torch.allclose(scores, shuffled, atol=1e-5)
    renamed = method.compare(queries, support, torch.tensor(names)[codes])
    assert torch.allclose(scores, renamed[:, names], atol=1e-5)


@pytest.mark.parametrize("neighbors", [None, 1, 3])
def test_a_class_without_support_is_an_error_and_no_nan(neighbors: int | None) -> None:
    method = Prototypical(PrototypicalOptions(neighbors=neighbors))
    with pytest.raises(ValueError, match=r"no embedding for class codes \[1\]"):
        method.compare(torch.randn(2, 3), torch.randn(3, 3), torch.tensor([0, 2, 2]))


def test_the_loss_does_not_depend_on_the_order_of_the_queries() -> None:
    method, raw = Prototypical(PrototypicalOptions()), embeddings()
    turned = Episode(EPISODE.support, EPISODE.query.flip(0))
    assert method.loss(raw, LABELS, EPISODE).item() == pytest.approx(method.loss(raw, LABELS, turned).item(), rel=1e-6)


def test_symmetric_training_averages_both_ways_round() -> None:
    raw = embeddings()
    plain, symmetric = Prototypical(PrototypicalOptions()), Prototypical(PrototypicalOptions(symmetric=True))
    ways = [plain.loss(raw, LABELS, episode) for episode in (EPISODE, Episode(EPISODE.query, EPISODE.support))]
    assert symmetric.loss(raw, LABELS, EPISODE).item() == pytest.approx(sum(ways).item() / 2, rel=1e-6)


def test_gradients_are_finite_where_query_and_prototype_are_equal() -> None:
    raw = torch.zeros(9, DIMS, requires_grad=True)
    Prototypical(PrototypicalOptions()).loss(raw, LABELS, EPISODE).backward()
    assert raw.grad is not None
    assert torch.isfinite(raw.grad).all()


def test_metric_and_rule_tell_the_index_how_to_compare() -> None:
    told = [(method.metric, method.class_rule) for method in map(Prototypical, VARIANTS)]
    assert told == [("l2", "prototype"), ("cosine", "prototype"), ("l2", "nearest"), ("l2", "nearest")]


def test_anything_but_episodes_is_refused_with_the_mend() -> None:
    with pytest.raises(TypeError, match="sampler that yields them"):
        Prototypical(PrototypicalOptions()).loss(embeddings(), LABELS, None)


class TestContract(MethodContract):
    """The suite that every method passes."""

    takes = "episode"

    def make(self, build: Build) -> Method:
        return Prototypical(PrototypicalOptions())


@pytest.mark.parametrize("options", [PrototypicalOptions(), PrototypicalOptions(neighbors=1)])
def test_what_all_embeddings_share_hides_nothing(options: PrototypicalOptions) -> None:
    """Embeddings far from zero and near each other: float32 must still tell who is nearest."""
    support = embeddings(9) + 3000
    codes = torch.tensor([0, 0, 1, 1, 2, 2, 1, 2, 0])
    queries = embeddings(40, seed=1) + 3000
    method = Prototypical(options)
    found = method.compare(queries, support, codes).argmax(dim=1).numpy()
    exact = reference_scores(queries.double().numpy(), support.double().numpy(), codes.numpy(), options)
    assert (found == exact.argmax(axis=1)).all()
