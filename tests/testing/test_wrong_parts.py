"""The contract suites refuse parts that are wrong, each by the test that is about it, and accept right unusual ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from nearkin.contracts import Batch, Build, Episode, Figure, InputSpec, Pairs
from nearkin.index.engines.flat import FlatEngine
from nearkin.testing import (
    BackboneContract,
    EngineContract,
    EvaluatorContract,
    LossContract,
    MethodContract,
    SamplerContract,
)


def failing(suite: type, made: Callable[[Build], Any], **attributes: Any) -> set[str]:
    """The tests of a suite that this part does not pass."""
    tested = type("Tested", (suite,), {"make": lambda self, build: made(build), **attributes})
    failed = set()
    for name in (name for name in dir(tested) if name.startswith("test_")):
        try:
            getattr(tested(), name)()
        # A wrong part may raise anything.
        except Exception:
            failed.add(name.removeprefix("test_"))
    return failed


# ---------------------------------------------------------------------------------------------------- samplers


class Drawn:
    """A sampler of whatever `given` makes of a generator."""

    steps_per_epoch: Any = 1

    def __init__(self, build: Build, given: Callable[[np.random.Generator], Batch]) -> None:
        self.seed, self.given = build.seed, given

    def batch(self, step: int) -> Batch:
        return self.given(np.random.default_rng([self.seed, step]))


def twelve(rng: np.random.Generator) -> Any:
    """(12,) all items in any order."""
    return rng.permutation(12)


def some_pairs(rng: np.random.Generator, **changes: Any) -> Batch:
    """Four items of one class, four of another; with sides changed."""
    items = np.concatenate([rng.permutation(4), 4 + rng.permutation(4)])
    sides: dict[str, Any] = {"a1": [0, 4], "p": [1, 5], "a2": [0, 1], "n": [4, 5]}
    return Batch(items, Pairs(**{name: np.array(side, dtype=np.int64) for name, side in (sides | changes).items()}))


RUNS_TAKE = "every_batch_is_one_that_a_run_would_take"
WRONG_BATCHES: dict[str, Callable[[np.random.Generator], Batch]] = {
    "no pairs": lambda rng: some_pairs(rng, a1=[], p=[], a2=[], n=[]),
    "sides of unlike lengths": lambda rng: some_pairs(rng, a2=[0, 1], n=[4]),
    "positions that are fractions": lambda rng: Batch(twelve(rng), Episode(np.array([0.5]), np.array([1.5]))),
    "an episode without queries": lambda rng: Batch(twelve(rng), Episode(np.arange(12), np.arange(0))),
    "a class that the support lacks": lambda rng: Batch(
        np.concatenate([rng.permutation(4), [5]]), Episode(np.arange(4), np.array([4]))
    ),
    "labels alone for pairs": lambda rng: Batch(twelve(rng)),
}


@pytest.mark.parametrize("given", WRONG_BATCHES.values(), ids=WRONG_BATCHES)
def test_a_sampler_of_wrong_batches_does_not_pass(given: Callable[[np.random.Generator], Batch]) -> None:
    yields = "episode" if isinstance(given(np.random.default_rng(0)).structure, Episode) else "pairs"
    assert RUNS_TAKE in failing(SamplerContract, lambda build: Drawn(build, given), yields=yields)


def test_a_sampler_of_lists_tensors_and_narrow_numbers_passes() -> None:
    def unusual(rng: np.random.Generator) -> Batch:
        items = np.concatenate([rng.permutation(4), 4 + rng.permutation(4)])
        sides = [0, 4], torch.tensor([1, 5]), np.array([1, 0], dtype=np.uint8)[::-1], (4, 5)
        return Batch(items.tolist(), Pairs(*sides))  # type: ignore[arg-type]  # a list where an array is said

    assert not failing(SamplerContract, lambda build: Drawn(build, unusual))


def test_an_epoch_of_half_a_step_does_not_pass() -> None:
    class Half(Drawn):
        steps_per_epoch = 1.5

    assert failing(SamplerContract, lambda build: Half(build, some_pairs)) == {"an_epoch_has_at_least_one_step"}


# ------------------------------------------------------------------------------------------- losses and methods


def test_a_loss_that_cannot_be_called_as_training_does_not_pass() -> None:
    def loss(embeddings: Any, labels: Any, pairs: Any = None) -> Any:
        return embeddings.square().mean()

    assert failing(LossContract, lambda build: loss)


class Plain:
    """A method that is right."""

    metric = "l2"
    class_rule = "nearest"

    def loss(self, embeddings: Any, labels: Any, structure: Any) -> Any:
        return embeddings.square().mean()

    def transform(self, embeddings: Any) -> Any:
        return embeddings

    def compare(self, queries: Any, support: Any, labels: Any) -> Any:
        far = torch.cdist(queries, support)
        return -torch.stack([far[:, labels == code].amin(dim=1) for code in range(int(labels.max()) + 1)], dim=1)


class Holding(Plain):
    def __init__(self) -> None:
        self.head = nn.Linear(8, 8)


def test_a_right_method_passes() -> None:
    assert not failing(MethodContract, lambda build: Plain())


@pytest.mark.parametrize(
    ("wrong", "test"),
    [
        ({"loss": lambda _, e, labels, structure: e.square().mean()[None]}, "the_loss_has_finite_gradients"),
        ({"transform": lambda _, e: e[:, :4]}, "an_embedding_is_transformed_the_same_alone"),
        ({"class_rule": "prototype"}, "the_index_would_name_the_same_class"),
        ({"metric": "l1"}, "the_index_would_name_the_same_class"),
        ({"class_rule": "attention"}, "it_names_a_metric_and_a_class_rule"),
    ],
)
def test_a_wrong_method_does_not_pass(wrong: dict[str, Any], test: str) -> None:
    failed = failing(MethodContract, lambda build: type("Wrong", (Plain,), wrong)())
    assert [name for name in failed if name.startswith(test)]


def test_a_method_whose_weights_never_learn_does_not_pass() -> None:
    assert failing(MethodContract, lambda build: Holding()) == {"it_names_a_metric_and_a_class_rule"}


# -------------------------------------------------------------------------------- backbones, engines, evaluators


def test_a_backbone_whose_size_cannot_be_saved_does_not_pass() -> None:
    class Wide(nn.Module):
        input = InputSpec((4, 4), 1, (0.5,), (0.5,))
        embedding_dim = np.int64(16)

        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images.flatten(1) * self.scale

    assert failing(BackboneContract, lambda build: Wide()) == {"its_input_spec_has_a_mean_and_a_std_for_every_channel"}


def test_an_exact_engine_with_a_fingerprint_of_its_own_does_not_pass() -> None:
    class Own(FlatEngine):
        fingerprint = "own"

        def holding(self, ids: Any, vectors: Any, changed: Any = None) -> Any:
            return Own("l2", ids, vectors)

    assert "the_nearest_are_found" in failing(EngineContract, lambda build: Own("l2"))


class Share:
    """An evaluator that is right: the share of known images that got their own label."""

    def evaluate(self, view: Any) -> list[Figure]:
        asked = [
            row
            for row, (label, digest) in enumerate(zip(view.labels, view.digests, strict=True))
            if label in view.classes and digest not in view.seen_digests
        ]
        if not asked:
            return [Figure("share", None, note="No known images.")]
        return [Figure("share", self.value(self.right(view, np.array(asked))))]

    def right(self, view: Any, asked: Any) -> list[bool]:
        found = view.index.query(view.asked(asked))
        return [answer.label == view.labels[row] for answer, row in zip(found, asked, strict=True)]

    def value(self, right: list[bool]) -> Any:
        return float(np.mean(right))


class Single(Share):
    def value(self, right: list[bool]) -> Any:
        return np.float32(np.mean(right))


class Hasty(Share):
    """Asks with the embeddings as they are."""

    def right(self, view: Any, asked: Any) -> list[bool]:
        found = view.index.query(view.embeddings[asked])
        return [answer.label == view.labels[row] for answer, row in zip(found, asked, strict=True)]


class Selective(Share):
    """Counts on select images."""

    def evaluate(self, view: Any) -> list[Figure]:
        return [*super().evaluate(view), Figure("chosen_on", float(len(view.select.labels)))]


KEEPS = "figures_are_what_a_run_can_keep_whatever_images_there_are"


@pytest.mark.parametrize(
    ("evaluator", "failed"),
    [
        (Share, set()),
        (Single, {KEEPS}),
        (Selective, {KEEPS}),
        (Hasty, {"the_index_is_asked_as_the_view_says"}),
    ],
)
def test_an_evaluator_passes_where_a_run_could_keep_its_figures(evaluator: type, failed: set[str]) -> None:
    assert failing(EvaluatorContract, lambda build: evaluator()) == failed
