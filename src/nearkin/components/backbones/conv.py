"""The few-shot field's plain convolutional network: blocks of convolution, batch norm, ReLU and pooling."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from nearkin.components.backbones.options import ConvOptions
from nearkin.contracts import InputSpec


def conv_block(channels_in: int, channels_out: int) -> nn.Sequential:
    """3x3 convolution, batch norm, ReLU, 2x2 max-pooling (Vinyals et al. 2016, section 4.1)."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(),
        nn.MaxPool2d(2),
    )


class ConvNet(nn.Module):
    """`blocks` blocks, average pooling, and a linear layer where `embedding_dim` is asked for.

    The papers flatten the last block's map, 1x1 for 28 pixels and four blocks; pooling is the same there, and
    keeps the embedding small for larger images.
    """

    def __init__(self, options: ConvOptions, blocks: int) -> None:
        super().__init__()
        self.input = InputSpec(
            size=(options.image_size, options.image_size),
            channels=options.channels,
            mean=(0.5,) * options.channels,
            std=(0.5,) * options.channels,
        )
        self.embedding_dim = options.embedding_dim or options.width
        widths = [options.channels, *[options.width] * blocks]
        self.blocks = nn.Sequential(*[conv_block(*pair) for pair in pairwise(widths)])
        self.head = nn.Linear(options.width, options.embedding_dim) if options.embedding_dim else nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        """(b, channels, h, w) normalised -> (b, d)."""
        features: Tensor = self.blocks(images.contiguous(memory_format=torch.channels_last))
        pooled: Tensor = self.head(features.mean(dim=(2, 3)))
        return pooled
