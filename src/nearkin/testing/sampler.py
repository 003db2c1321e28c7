"""What every sampler promises."""

from __future__ import annotations

from nearkin.contracts import Batch, Build, Component, Options, Sampler, StructureKind
from nearkin.making import sampler_problem
from nearkin.testing.material import LABELS, a_build
from nearkin.training.checks import STRUCTURES, BatchCheck

STEPS = range(20)
KINDS = {structure: kind for kind, structure in STRUCTURES.items()}


class SamplerContract:
    """Subclass, say what it `yields` as it is registered, and implement `make`."""

    yields: StructureKind | None = None
    """Left out: what the first batch is, and then all must be that."""

    def make(self, build: Build) -> Sampler:
        """A sampler over `build.labels`."""
        raise NotImplementedError("say how your sampler is made")

    def test_a_batch_follows_seed_and_step_alone(self) -> None:
        """Whatever was drawn before: so resuming, workers and processes change nothing."""
        straight, jumping = self.make(a_build()), self.make(a_build())
        expected = [_flat(self.checked(straight, step)) for step in STEPS]
        for step in (7, 0, 19, 7):
            assert _flat(self.checked(jumping, step)) == expected[step]

    def test_another_seed_gives_other_batches(self) -> None:
        """Seeds are not ignored."""
        one, other = self.make(a_build()), self.make(a_build(seed=1))
        assert any(_flat(self.checked(one, step)) != _flat(self.checked(other, step)) for step in STEPS)

    def test_every_batch_is_one_that_a_run_would_take(self) -> None:
        """Unique items of the training set, positions in this batch, labels that agree with what is said of them."""
        sampler = self.make(a_build())
        for step in STEPS:
            self.checked(sampler, step)

    def test_an_epoch_has_at_least_one_step(self) -> None:
        """`train.epochs` counts these."""
        assert sampler_problem(self.make(a_build())) == ""

    def checked(self, sampler: Sampler, step: int) -> Batch:
        """The batch of a step; a run refuses the same, in the same words."""
        kind = self.yields or KINDS.get(type(getattr(sampler.batch(0), "structure", None)), "labels")
        tested = Component("sampler", "tested", "tested", "", "", Options, lambda options, build: None, yields=kind)
        return BatchCheck(tested, LABELS).batch(sampler, step)


def _flat(batch: Batch) -> list[list[int]]:
    return [part.tolist() for part in (batch.items, *(batch.structure or ()))]
