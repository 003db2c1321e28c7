"""Plain convolutional networks: the few-shot field's blocks, and VGG's stages of several convolutions."""

from __future__ import annotations

from itertools import accumulate, chain, pairwise

from torch import nn

from nearkin.components.backbones.network import Network, square_input
from nearkin.components.backbones.options import ConvOptions, VggOptions
from nearkin.errors import DataError

POOLED = 4
"""Blocks that halve the image. Those of a deeper network after them keep its size, or 28 pixels would vanish."""


def conv_block(channels_in: int, channels_out: int, *, pool: bool = True) -> nn.Sequential:
    """3x3 convolution, batch norm, ReLU, 2x2 max-pooling (Vinyals et al. 2016, section 4.1)."""
    convolution = nn.Conv2d(channels_in, channels_out, kernel_size=3, padding=1, bias=False)
    layers: list[nn.Module] = [convolution, nn.BatchNorm2d(channels_out), nn.ReLU()]
    return nn.Sequential(*layers, *([nn.MaxPool2d(2)] if pool else []))


def conv_net(options: ConvOptions, blocks: int) -> Network:
    """`blocks` blocks of `options.width` channels, the first four of which halve the image (Chen et al. 2019)."""
    widths = [options.channels, *[options.width] * blocks]
    return Network(
        [conv_block(*pair, pool=place < POOLED) for place, pair in enumerate(pairwise(widths))],
        features=options.width,
        input_spec=square_input(options.channels, options.image_size, mean=0.5, std=0.5),
        options=options,
    )


def vgg(options: VggOptions) -> Network:
    """Stages of 3x3 convolutions with batch norm, a 2x2 max-pooling after each (Simonyan and Zisserman 2015)."""
    halvings = len(options.stages)
    if options.image_size < 2**halvings:
        raise DataError(
            f"backbone.stages: {halvings} stages halve the image {halvings} times, and nothing is left of "
            f"{options.image_size} pixels. Raise backbone.image_size to {2**halvings}, or take fewer stages."
        )
    widths = [options.channels, *chain.from_iterable(options.stages)]
    last = set(accumulate(len(stage) for stage in options.stages))
    return Network(
        [conv_block(*pair, pool=place in last) for place, pair in enumerate(pairwise(widths), start=1)],
        features=widths[-1],
        input_spec=square_input(options.channels, options.image_size, mean=0.5, std=0.5),
        options=options,
    )
