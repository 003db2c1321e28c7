"""What every backbone promises."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from nearkin.contracts import Backbone, Build, Halved
from nearkin.making import backbone_problem
from nearkin.testing.material import a_build


class BackboneContract:
    """Subclass and implement `make`."""

    def make(self, build: Build) -> Backbone:
        """The backbone, small enough for a test."""
        raise NotImplementedError("say how your backbone is made")

    def test_it_turns_images_of_its_input_spec_into_embeddings(self) -> None:
        """(b, channels, h, w) -> (b, embedding_dim), finite."""
        backbone = self._evaluating()
        made = backbone(self._images(backbone))
        assert made.shape == (3, backbone.embedding_dim)
        assert torch.isfinite(made).all()

    def test_its_input_spec_has_a_mean_and_a_std_for_every_channel(self) -> None:
        """Normalisation is saved with the run, and so is the size of its images and embeddings."""
        assert backbone_problem(self.make(a_build())) == ""

    def test_an_image_is_embedded_the_same_alone_or_in_a_batch(self) -> None:
        """To the last digits that the hardware keeps."""
        backbone = self._evaluating()
        images = self._images(backbone)
        alone = torch.cat([backbone(image[None]) for image in images])
        assert torch.allclose(backbone(images), alone, atol=1e-4)

    def test_every_weight_that_learns_gets_a_gradient(self) -> None:
        """Nothing is built that training cannot reach."""
        backbone = self.make(a_build())
        module = cast(nn.Module, backbone).train()
        backbone(self._images(backbone)).square().sum().backward()  # type: ignore[no-untyped-call]  # torch's own
        unreached = [name for name, p in module.named_parameters() if p.requires_grad and p.grad is None]
        assert not unreached

    def test_each_stage_that_it_names_gives_one_tensor_an_image(self) -> None:
        """So that the outlier score may look there; a backbone that names none is not asked."""
        backbone = self._evaluating()
        found: list[Tensor] = []
        for stage in getattr(backbone, "stages", ()):
            stage.register_forward_hook(lambda module, given, made: found.append(made))
        backbone(self._images(backbone))
        assert len(found) == len(getattr(backbone, "stages", ()))
        assert all(isinstance(made, Tensor) and made.ndim in (2, 3, 4) and len(made) == 3 for made in found)

    def test_its_two_halves_make_what_it_makes_at_once(self) -> None:
        """So that a frozen trunk need not see an image twice; a backbone that is no `Halved` is not asked."""
        backbone = self._evaluating()
        images = self._images(backbone)
        if isinstance(backbone, Halved):
            assert torch.allclose(backbone.projected(backbone.features(images)), backbone(images), atol=1e-5)

    def _evaluating(self) -> Backbone:
        backbone = self.make(a_build())
        cast(nn.Module, backbone).eval()
        return backbone

    def _images(self, backbone: Backbone) -> Tensor:
        spec = backbone.input
        return torch.randn(3, spec.channels, *spec.size, generator=torch.Generator().manual_seed(0))
