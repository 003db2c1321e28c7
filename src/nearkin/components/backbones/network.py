"""The frame of every built-in backbone: blocks, pooling, a projection head, and what of it is frozen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nearkin.components.backbones.options import BackboneOptions
from nearkin.contracts import InputSpec
from nearkin.errors import DataError
from nearkin.modes import evaluating


class Network(nn.Module):
    """(b, channels, h, w) normalised -> (b, d): `blocks` in their order, pooling, then the head.

    The papers flatten the last block's map where it is 1x1; the mean is the same there, and keeps the embedding small
    for larger images. Flattened, a larger map also tells where a stroke is.
    """

    def __init__(
        self,
        blocks: Sequence[nn.Module],
        *,
        features: int,
        input_spec: InputSpec,
        options: BackboneOptions,
        stages: slice = slice(None),
    ) -> None:
        super().__init__()
        self._stages = stages
        self.input = input_spec
        self.normalize, self.pool = options.normalize, options.pool
        self.blocks = nn.Sequential(*blocks)
        if self.pool == "flatten":
            features *= places(self.blocks, input_spec)
        self.embedding_dim = options.embedding_dim or features
        self.head = projection_head(features, options)
        self._frozen = frozen_modules(self.blocks, options) + ([self.head] if options.freeze == "everything" else [])
        for module in self._frozen:
            module.requires_grad_(False)

    @property
    def trunk(self) -> nn.Module:
        """All but the projection head: what a learning rate of the backbone's own moves."""
        return self.blocks

    @property
    def stages(self) -> Sequence[nn.Module]:
        """What `unknown.space` counts from 1: the blocks, less what stands before and after the repeated ones."""
        return list(self.blocks)[self._stages]

    def train(self, mode: bool = True) -> Network:
        """Training mode, in which what is frozen stays as in evaluation: its batch norms learn no statistics."""
        super().train(mode)
        for module in self._frozen:
            module.eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        """(b, channels, h, w) normalised -> (b, d)."""
        return self.projected(self.features(images))

    def features(self, images: Tensor) -> Tensor:
        """(b, channels, h, w) normalised -> (b, f): the blocks' last map, pooled."""
        maps: Tensor = self.blocks(images.contiguous(memory_format=torch.channels_last))
        return maps.flatten(1) if self.pool == "flatten" else maps.mean(dim=(2, 3))

    def projected(self, features: Tensor) -> Tensor:
        """(b, f) -> (b, d): through the head, and normalised."""
        embeddings: Tensor = self.head(features)
        if self.normalize == "softmax":
            return embeddings.softmax(dim=1)
        return F.normalize(embeddings, dim=1) if self.normalize else embeddings


@torch.no_grad()
def places(blocks: nn.Module, input_spec: InputSpec) -> int:
    """How many places the last map of an image has."""
    image = torch.zeros(1, input_spec.channels, *input_spec.size)
    with evaluating(blocks):
        found: Tensor = blocks(image)
    return found[0, 0].numel()


def projection_head(features: int, options: BackboneOptions) -> nn.Module:
    """`features` to `embedding_dim`, or nothing. `mlp` as in SimCLR (Chen et al. 2020, section 4.2)."""
    if options.embedding_dim is None:
        return nn.Identity()
    last = nn.Linear(features, options.embedding_dim)
    return last if options.head == "linear" else nn.Sequential(nn.Linear(features, features), nn.ReLU(), last)


def frozen_modules(blocks: nn.Sequential, options: BackboneOptions) -> list[nn.Module]:
    """The blocks and batch norms that never learn. `DataError` where more blocks are asked for than there are."""
    named = {"none": 0, "all": len(blocks), "everything": len(blocks)}
    count = named[options.freeze] if isinstance(options.freeze, str) else options.freeze
    if count > len(blocks):
        raise DataError(f"backbone.freeze: {count} blocks, but this backbone has {len(blocks)}. Write 'all' for all.")
    frozen = list(blocks.children())[:count]
    norms = [module for module in blocks.modules() if isinstance(module, nn.BatchNorm2d)]
    return frozen + (norms if options.frozen_batch_norm else [])


def square_input(channels: Literal[1, 3], size: int, *, mean: float, std: float) -> InputSpec:
    """Square images, every channel normalised alike."""
    return InputSpec((size, size), channels, (mean,) * channels, (std,) * channels)
