"""What every sampler promises."""

from __future__ import annotations

import numpy as np

from nearkin.contracts import Batch, Build, Episode, Sampler
from nearkin.testing.material import LABELS, a_build

STEPS = range(20)


class SamplerContract:
    """Subclass and implement `make`."""

    def make(self, build: Build) -> Sampler:
        """A sampler over `build.labels`."""
        raise NotImplementedError("say how your sampler is made")

    def test_a_batch_follows_seed_and_step_alone(self) -> None:
        """Whatever was drawn before: so resuming, workers and processes change nothing."""
        straight, jumping = self.make(a_build()), self.make(a_build())
        expected = [_flat(straight.batch(step)) for step in STEPS]
        for step in (7, 0, 19, 7):
            assert _flat(jumping.batch(step)) == expected[step]

    def test_another_seed_gives_other_batches(self) -> None:
        """Seeds are not ignored."""
        one, other = self.make(a_build()), self.make(a_build(seed=1))
        assert any(_flat(one.batch(step)) != _flat(other.batch(step)) for step in STEPS)

    def test_items_are_unique_positions_in_the_training_set(self) -> None:
        """Each image is embedded once, however often the structure names it."""
        sampler = self.make(a_build())
        for step in STEPS:
            items = sampler.batch(step).items
            assert len(np.unique(items)) == len(items)
            assert items.min() >= 0
            assert items.max() < len(LABELS)

    def test_the_structure_points_into_the_batch(self) -> None:
        """Positions 0..m-1 of this batch, never of the training set."""
        sampler = self.make(a_build())
        for step in STEPS:
            batch = sampler.batch(step)
            for part in batch.structure or ():
                assert part.min(initial=0) >= 0
                assert part.max(initial=0) < len(batch.items)

    def test_labels_agree_with_the_structure(self) -> None:
        """Same where it says same, different where it says different, no image beside itself."""
        sampler = self.make(a_build())
        for step in STEPS:
            batch = sampler.batch(step)
            _check_labels(batch, LABELS[batch.items])

    def test_an_epoch_has_at_least_one_step(self) -> None:
        """`train.epochs` counts these."""
        assert self.make(a_build()).steps_per_epoch >= 1


def _flat(batch: Batch) -> list[list[int]]:
    return [batch.items.tolist(), *(part.tolist() for part in batch.structure or ())]


def _check_labels(batch: Batch, labels: np.ndarray) -> None:
    structure = batch.structure
    if structure is None:
        return
    if isinstance(structure, Episode):
        assert not set(structure.support.tolist()) & set(structure.query.tolist())
        return
    *same, different_left, different_right = _sides(structure)
    assert (labels[same[0]] == labels[same[1]]).all()
    assert (same[0] != same[1]).all()
    assert (labels[different_left] != labels[different_right]).all()


def _sides(structure: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    """Pairs as they are; a triplet's anchor stands on both sides."""
    if len(structure) == 4:
        return structure
    a, p, n = structure
    return a, p, a, n
