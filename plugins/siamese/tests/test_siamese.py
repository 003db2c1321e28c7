"""The Siamese head is the paper's, trains, and ranks as its L1 index does."""

from __future__ import annotations

import faiss
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nearkin import load_registries
from nearkin.contracts import Build, Method, Pairs
from nearkin.functional import pairwise_distances
from nearkin.testing import MethodContract
from nearkin_siamese import SiameseOptions, SigmoidOptions
from nearkin_siamese.method import Siamese, l1_of_pairs

DIMS = 8


def siamese(*, seed: int = 0, **options: float | bool) -> Siamese:
    """A head with weights that are not all alike."""
    head = Siamese(SiameseOptions(**options), Build(seed=seed, embedding_dim=DIMS))
    with torch.no_grad():
        head.raw_weights.copy_(torch.randn(DIMS, generator=torch.Generator().manual_seed(seed)))
    return head


def embeddings(count: int, *, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, DIMS, generator=torch.Generator().manual_seed(seed))


def test_the_entry_point_brings_the_method() -> None:
    component = load_registries().method.get("siamese")
    assert component.distribution == "nearkin-siamese"
    assert component.takes == ("pairs",)


def test_logits_and_loss_are_the_papers_in_float64_numpy() -> None:
    head, raw = siamese(), embeddings(6)
    pairs = Pairs(*(torch.tensor(part) for part in ([0, 1], [2, 3], [0, 4], [1, 5])))
    weights = np.log1p(np.exp(head.raw_weights.detach().double().numpy()))
    e = raw.double().numpy()
    left, right = np.r_[e[[0, 1]], e[[0, 4]]], np.r_[e[[2, 3]], e[[1, 5]]]
    logits = 2.0 - (weights * np.abs(left - right)).sum(axis=1)
    targets = np.array([1, 1, 0, 0])
    probabilities = 1 / (1 + np.exp(-logits))
    expected = -np.mean(targets * np.log(probabilities) + (1 - targets) * np.log(1 - probabilities))
    assert head.loss(raw, torch.zeros(6), pairs).item() == pytest.approx(expected, rel=1e-5)


def test_weights_start_at_one_over_d_and_never_turn_negative() -> None:
    head = Siamese(SiameseOptions(), Build(seed=0, embedding_dim=DIMS))
    assert head.weights.detach().numpy() == pytest.approx(np.full(DIMS, 1 / DIMS), rel=1e-5)
    with torch.no_grad():
        head.raw_weights.fill_(-50.0)
    assert (head.weights >= 0).all()


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 10_000))
def test_the_l1_index_ranks_as_the_trained_head_wherever_logits_differ(seed: int) -> None:
    head = siamese(seed=seed)
    with torch.no_grad():
        queries, references = head.transform(embeddings(4, seed=seed)), head.transform(embeddings(30, seed=seed + 1))
        logits = torch.stack([head.logits(query.expand_as(references), references) for query in queries]).numpy()
    index = faiss.IndexFlat(DIMS, faiss.METRIC_L1)
    index.add(references.numpy())
    _, ranked = index.search(queries.numpy(), len(references))
    for row, order in zip(logits, ranked, strict=True):
        in_order = row[order]
        clearly_wrong = in_order[1:] - in_order[:-1] > 1e-5 * np.abs(in_order[:-1]).clip(1)
        assert not clearly_wrong.any()


def test_compare_is_the_logit_of_the_nearest_support_of_each_class() -> None:
    head = siamese()
    with torch.no_grad():
        queries, support = head.transform(embeddings(5, seed=1)), head.transform(embeddings(6, seed=2))
        labels = torch.tensor([0, 1, 0, 2, 1, 2])
        scores = head.compare(queries, support, labels)
        logits = head.bias - pairwise_distances(queries, support, "l1")
    assert scores.shape == (5, 3)
    for code in range(3):
        assert torch.allclose(scores[:, code], logits[:, labels == code].max(dim=1).values)


def test_swapping_the_sides_of_a_pair_changes_nothing() -> None:
    head, raw = siamese(), embeddings(4)
    a, b, c, d = (torch.tensor([i]) for i in range(4))
    assert head.loss(raw, raw, Pairs(a, b, c, d)).item() == head.loss(raw, raw, Pairs(b, a, d, c)).item()


def test_gradients_reach_embeddings_weights_and_bias() -> None:
    head, raw = siamese(), embeddings(4).requires_grad_()
    a, b, c, d = (torch.tensor([i]) for i in range(4))
    head.loss(raw, raw, Pairs(a, b, c, d)).backward()
    for gradient in (raw.grad, head.raw_weights.grad, head.bias.grad):
        assert gradient is not None
        assert gradient.abs().sum() > 0


def test_all_pairs_of_a_batch_cost_no_other_loss_or_gradient_than_a_few_at_a_time() -> None:
    head, raw = siamese(), embeddings(6).requires_grad_()
    rows, columns = torch.triu_indices(6, 6, offset=1)
    distances = l1_of_pairs(head.transform(raw), rows, columns)
    singly = torch.cat([l1_of_pairs(head.transform(raw), i[None], j[None]) for i, j in zip(rows, columns, strict=True)])
    assert torch.allclose(distances, singly)
    found, expected = (torch.autograd.grad(one.square().sum(), raw)[0] for one in (distances, singly))
    assert torch.allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 20.0, 1e6])
def test_the_initial_scale_is_the_sum_of_the_weights(scale: float) -> None:
    head = Siamese(SiameseOptions(initial_scale=scale), Build(seed=0, embedding_dim=DIMS))
    assert head.weights.sum().item() == pytest.approx(scale, rel=1e-4)


def test_weights_can_be_left_alike() -> None:
    head = Siamese(SiameseOptions(weights=False), Build(seed=0, embedding_dim=DIMS))
    assert not head.raw_weights.requires_grad


def test_sigmoids_learn_and_what_is_surely_there_counts_alike() -> None:
    build = Build(seed=0, classes=("a", "b"), embedding_dim=4)
    method = Siamese(SiameseOptions(sigmoid=SigmoidOptions(gain=8, threshold=0.25)), build)
    points = torch.tensor([[0.0, 0.25, 0.5, 9.0], [0.0, 0.25, 0.5, 5.0]])
    made = method.transform(points)
    torch.testing.assert_close(made[0] * 4, torch.tensor([0.1192, 0.5, 0.8808, 1.0]), atol=1e-4, rtol=0)
    assert (made[0] - made[1]).abs().max() < 1e-6
    structure = Pairs(*(torch.tensor([i]) for i in (0, 1, 0, 1)))
    method.loss(points, torch.tensor([0, 1]), structure).backward()
    assert {name for name, one in method.named_parameters() if one.grad is not None} >= {"units.gain", "units.offset"}


def test_anything_but_pairs_is_refused_with_the_mend() -> None:
    with pytest.raises(TypeError, match="balanced_pairs"):
        siamese().loss(embeddings(2), torch.zeros(2), None)


class TestContract(MethodContract):
    """The suite that every method passes."""

    takes = "pairs"

    def make(self, build: Build) -> Method:
        return Siamese(SiameseOptions(), build)
