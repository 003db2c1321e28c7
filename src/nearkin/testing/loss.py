"""What every loss promises."""

from __future__ import annotations

import pytest
import torch

from nearkin.contracts import Build, Loss, StructureKind
from nearkin.testing.material import LABELS, a_build, embeddings, structure_of


class LossContract:
    """Subclass, name the structure it takes, and implement `make`."""

    takes: StructureKind = "labels"

    def make(self, build: Build) -> Loss:
        """The loss."""
        raise NotImplementedError("say how your loss is made")

    def test_gradients_are_finite_and_not_zero(self) -> None:
        """It teaches something on embeddings that are not yet in order."""
        vectors = embeddings().requires_grad_()
        value = self.make(a_build())(vectors, torch.from_numpy(LABELS), indices_tuple=structure_of(self.takes))
        assert value.ndim == 0
        assert torch.isfinite(value)
        value.backward()  # type: ignore[no-untyped-call]  # torch's own
        assert vectors.grad is not None
        assert torch.isfinite(vectors.grad).all()
        assert vectors.grad.abs().sum() > 0

    def test_the_same_input_gives_the_same_value(self) -> None:
        """No hidden state, no hidden randomness."""
        loss, labels, structure = self.make(a_build()), torch.from_numpy(LABELS), structure_of(self.takes)
        values = [loss(embeddings(), labels, indices_tuple=structure).item() for _ in range(2)]
        assert values[0] == pytest.approx(values[1], rel=1e-6)
