"""The matching method is the paper's, with and without context, and its runs end in something that answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError

import nearkin
from nearkin import load_registries
from nearkin.contracts import Build, Episode, Method
from nearkin.testing import MethodContract
from nearkin_matching import MatchingOptions
from nearkin_matching.method import Matching

DIMS = 6
LABELS = torch.tensor([4, 4, 9, 9, 2, 2, 9, 2, 4])
EPISODE = Episode(torch.arange(6), torch.arange(6, 9))
CODES = np.array([1, 1, 2, 2, 0, 0])
TARGETS = [2, 0, 1]
Floats = NDArray[np.float64]


def matching(seed: int = 0, **options: Any) -> Matching:
    torch.manual_seed(seed)
    return Matching(MatchingOptions(**options), Build(seed=seed, embedding_dim=DIMS))


def embeddings(count: int = 9, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, DIMS, generator=torch.Generator().manual_seed(seed))


def reference_shares(queries: Floats, support: Floats, codes: NDArray[np.int64], scale: float = 1.0) -> Floats:
    """Equation 1 in float64, one query at a time."""
    rows = []
    for query in queries:
        cosines = np.array([query @ x / np.sqrt((query @ query) * (x @ x)) for x in support])
        weights = np.exp(scale * cosines) / np.exp(scale * cosines).sum()
        rows.append([weights[codes == code].sum() for code in range(codes.max() + 1)])
    return np.array(rows)


def sigmoid(x: Floats) -> Floats:
    return 1 / (1 + np.exp(-x))


def lstm_step(gates: Floats, cell: Floats) -> tuple[Floats, Floats]:
    """Input, forget, candidate and output gates, in torch's order."""
    i, f, g, o = np.split(gates, 4)
    cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(cell), cell


def reference_context(method: Matching, queries: Floats, support: Floats) -> tuple[Floats, Floats]:
    """Appendix A in float64, one image at a time."""
    weights = {name: tensor.detach().double().numpy() for name, tensor in method.context.state_dict().items()}  # type: ignore[union-attr]

    def direction(rows: Floats, suffix: str) -> Floats:
        w_in, w_hidden = (weights[f"over_support.weight_{part}_l0{suffix}"] for part in ("ih", "hh"))
        bias = sum(weights[f"over_support.bias_{part}_l0{suffix}"] for part in ("ih", "hh"))
        hidden = cell = np.zeros(DIMS)
        out = []
        for row in rows:
            hidden, cell = lstm_step(w_in @ row + w_hidden @ hidden + bias, cell)
            out.append(hidden)
        return np.array(out)

    g = direction(support, "") + direction(support[::-1], "_reverse")[::-1] + support
    w_in, w_hidden = (weights[f"over_query.weight_{part}"] for part in ("ih", "hh"))
    bias = weights["over_query.bias_ih"] + weights["over_query.bias_hh"]
    made = []
    for query in queries:
        hidden = cell = read = np.zeros(DIMS)
        for _ in range(method.options.steps or 5):
            out, cell = lstm_step(w_in @ np.concatenate([query, read]) + w_hidden @ hidden + bias, cell)
            hidden = out + query
            attention = np.exp(g @ hidden) / np.exp(g @ hidden).sum()
            read = attention @ g
        made.append(hidden)
    return np.array(made), g


def test_the_entry_point_brings_the_method() -> None:
    component = load_registries().method.get("matching")
    assert component.distribution == "nearkin-matching"
    assert component.takes == ("episode",)


@pytest.mark.parametrize("scale", [1.0, 10.0])
def test_shares_and_loss_are_the_papers_in_float64_numpy(scale: float) -> None:
    method, raw = matching(scale=scale), embeddings()
    e = raw.double().numpy()
    scores = method.compare(raw[6:], raw[:6], torch.from_numpy(CODES))
    np.testing.assert_allclose(scores.numpy(), reference_shares(e[6:], e[:6], CODES), atol=1e-5)
    trained = reference_shares(e[6:], e[:6], CODES, scale)
    expected = -np.log(trained[[0, 1, 2], TARGETS]).mean()
    assert method.loss(raw, LABELS, EPISODE).item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("steps", [1, 3, None])
def test_full_context_embeddings_are_the_papers_in_float64_numpy(steps: int | None) -> None:
    method, raw = matching(full_context=True, steps=steps), embeddings()
    e = raw.double().numpy()
    f, g = reference_context(method, e[6:], e[:6])
    with torch.inference_mode():
        made = method.context(raw[6:], raw[:6])  # type: ignore[misc]
        scores = method.compare(raw[6:], raw[:6], torch.from_numpy(CODES))
        loss = method.loss(raw, LABELS, EPISODE).item()
    np.testing.assert_allclose(made[0].numpy(), f, atol=1e-5)
    np.testing.assert_allclose(made[1].numpy(), g, atol=1e-5)
    shares = reference_shares(f, g, CODES)
    np.testing.assert_allclose(scores.numpy(), shares, atol=1e-5)
    assert loss == pytest.approx(-np.log(shares[[0, 1, 2], TARGETS]).mean(), rel=1e-4)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000), order=st.permutations(range(6)), names=st.permutations(range(3)))
def test_without_context_neither_support_order_nor_class_names_matter(
    seed: int, order: list[int], names: list[int]
) -> None:
    method, queries, support = matching(), embeddings(4, seed), embeddings(6, seed + 1)
    codes = torch.tensor([0, 0, 1, 1, 2, 2])
    scores = method.compare(queries, support, codes)
    assert torch.allclose(scores, method.compare(queries, support[order], codes[order]), atol=1e-5)
    assert torch.allclose(scores, method.compare(queries, support, torch.tensor(names)[codes])[:, names], atol=1e-5)
    assert torch.allclose(scores.sum(dim=1), torch.ones(4), atol=1e-5)


def test_with_context_the_company_of_the_support_changes_an_embedding_but_other_queries_do_not() -> None:
    method, queries, support = matching(full_context=True), embeddings(4), embeddings(6, seed=1)
    with torch.inference_mode():
        together, in_context = method.context(queries, support)  # type: ignore[misc]
        alone, others = method.context(queries[:1], torch.cat([support[:5], support[5:] + 1]))  # type: ignore[misc]
        same, _ = method.context(queries[:1], support)  # type: ignore[misc]
    assert torch.allclose(same[0], together[0], atol=1e-5)
    assert not torch.allclose(alone[0], together[0], atol=1e-3)
    assert not torch.allclose(others[0], in_context[0], atol=1e-3)


def test_symmetric_training_averages_both_ways_round() -> None:
    raw, other = embeddings(), Episode(EPISODE.query, EPISODE.support)
    ways = [matching().loss(raw, LABELS, episode).item() for episode in (EPISODE, other)]
    assert matching(symmetric=True).loss(raw, LABELS, EPISODE).item() == pytest.approx(sum(ways) / 2, rel=1e-6)


def test_a_share_that_rounds_to_zero_still_teaches() -> None:
    raw = torch.nn.functional.one_hot(torch.arange(4), DIMS).float()[[0, 1, 1, 0]].requires_grad_()
    episode = Episode(torch.tensor([0, 1]), torch.tensor([2, 3]))
    loss = matching(scale=200.0).loss(raw, torch.tensor([0, 1, 0, 1]), episode)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == pytest.approx(200.0)
    assert raw.grad is not None
    assert raw.grad.abs().sum() > 0


def test_gradients_reach_every_weight_of_the_context() -> None:
    method = matching(full_context=True)
    method.loss(embeddings(), LABELS, EPISODE).backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in method.parameters())


def test_anything_but_episodes_is_refused_with_the_mend() -> None:
    with pytest.raises(TypeError, match="sampler that yields them"):
        matching().loss(embeddings(), LABELS, None)


def test_steps_without_full_context_are_refused() -> None:
    with pytest.raises(ValidationError, match="steps are those of full_context"):
        MatchingOptions(steps=3)


RECIPE = """
name: digits-fce
data: {source: digits, known: ["0", "1", "2", "3"], unknown: ["7", "8", "9"], shots: 8, select: 4, calibrate: 0}
backbone: {type: conv2, image_size: 16, width: 8}
method: {type: matching, full_context: true, steps: 2}
sampler: {type: episodes, n_way: 4, n_shot: 1, n_query: 2}
train: {steps: 6, early_stopping: {every: 3}, device: cpu}
evaluate:
  - {type: clusters}
  - {type: episodes, n_way: 3, episodes: 20}
"""


def test_a_run_with_full_context_has_no_index_and_answers_by_compare(tmp_path: Path) -> None:
    (tmp_path / "fce.yaml").write_text(RECIPE)
    run = nearkin.train(tmp_path / "fce.yaml", runs=tmp_path)
    with pytest.raises(nearkin.NearkinError, match=r"has no index: matching with full_context .* run.compare answers"):
        _ = run.index
    images = np.random.default_rng(0).integers(0, 255, (5, 8, 8), dtype=np.uint8)
    scores = run.compare(list(images[:2]), list(images[2:]), ["a", "b", "a"])
    assert scores.shape == (2, 2)
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)
    figures = nearkin.evaluate(run)["figures"]
    assert figures["episodes"]["model"][0]["value"] is not None
    (unmeasured,) = figures["clusters"]["model"]
    assert unmeasured["value"] is None
    assert "There is no index" in unmeasured["note"]


@pytest.mark.parametrize(
    ("embed", "said"),
    [
        ("views: 3, warp: {degrees: 5}, join: concat", r"embed.join 'concat' does not go with this method"),
        ("rotations: [180]", r"embed.rotations do not go with this method: .* Leave them out"),
    ],
)
def test_looks_side_by_side_do_not_go_with_full_context(tmp_path: Path, embed: str, said: str) -> None:
    (tmp_path / "fce.yaml").write_text(RECIPE + f"embed: {{{embed}}}\n")
    with pytest.raises(nearkin.NearkinError, match=said):
        nearkin.train(tmp_path / "fce.yaml", runs=tmp_path)


class TestContract(MethodContract):
    """The suite that every method passes."""

    takes = "episode"

    def make(self, build: Build) -> Method:
        return Matching(MatchingOptions(), build)
