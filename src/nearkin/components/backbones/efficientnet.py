"""EfficientNet-Lite: EfficientNet without squeeze-and-excitation, with ReLU6 (Tan and Le 2019; TensorFlow 2020)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F

from nearkin.components.backbones.network import Network, square_input
from nearkin.components.backbones.options import EfficientNetLite0Options, EfficientNetLite2Options

STEM, FEATURES = 32, 1280
MEAN, STD = 127 / 255, 128 / 255
"""As the ImageNet weights were trained: pixels of 0 to 255, less 127, over 128."""
EPS, MOMENTUM = 1e-3, 0.01
"""TensorFlow's batch norm: its momentum 0.99 is 0.01 in PyTorch's sense."""


class Stage(NamedTuple):
    """Blocks of one width: the first of them strides."""

    repeats: int
    kernel: int
    stride: int
    expand: int
    width: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
"""EfficientNet-B0's (Tan and Le 2019, table 1)."""
DIVISOR = 8
"""Of every width, after scaling."""


def scaled(width: float, depth: float) -> tuple[Stage, ...]:
    """The stages so much wider and deeper; of the first and the last, lite networks keep the number of blocks."""
    ends = (STAGES[0], STAGES[-1])
    return tuple(
        stage._replace(
            repeats=stage.repeats if stage in ends else math.ceil(depth * stage.repeats),
            width=rounded(width * stage.width),
        )
        for stage in STAGES
    )


def rounded(width: float) -> int:
    """To the nearest multiple of 8 that takes away at most a tenth."""
    nearest = max(DIVISOR, int(width + DIVISOR / 2) // DIVISOR * DIVISOR)
    return nearest if nearest >= 0.9 * width else nearest + DIVISOR


class SameConv(nn.Conv2d):
    """A convolution with TensorFlow's "same" padding: the odd pixel goes right and below."""

    def forward(self, images: Tensor) -> Tensor:
        """(b, channels_in, h, w) -> (b, channels_out, ceil(h / stride), ceil(w / stride))."""
        pads = [self._padding(images.shape[axis]) for axis in (3, 2)]
        if any(pads):
            images = F.pad(images, [side for pad in pads for side in (pad // 2, pad - pad // 2)])
        return super().forward(images)

    def _padding(self, size: int) -> int:
        kernel, stride = self.kernel_size[0], self.stride[0]
        return max((-(-size // stride) - 1) * stride + kernel - size, 0)


class MobileBlock(nn.Module):
    """Expand, convolve each channel by itself, project; a shortcut where the shape stays (Sandler et al. 2018)."""

    def __init__(self, channels_in: int, stage: Stage, stride: int) -> None:
        super().__init__()
        wide = channels_in * stage.expand
        expand = conv_norm(channels_in, wide, 1) if stage.expand > 1 else []
        self.path = nn.Sequential(
            *expand, *conv_norm(wide, wide, stage.kernel, stride, groups=wide), *conv_norm(wide, stage.width, 1)[:-1]
        )
        self.adds = stride == 1 and channels_in == stage.width

    def forward(self, images: Tensor) -> Tensor:
        """(b, channels_in, h, w) -> (b, stage.width, h / stride, w / stride)."""
        out: Tensor = self.path(images)
        return images + out if self.adds else out


def conv_norm(channels_in: int, channels_out: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    """Convolution, batch norm, ReLU6."""
    convolution = SameConv(channels_in, channels_out, kernel, stride, groups=groups, bias=False)
    return [convolution, nn.BatchNorm2d(channels_out, eps=EPS, momentum=MOMENTUM), nn.ReLU6()]


def efficientnet_lite0(options: EfficientNetLite0Options) -> Network:
    """The stem, sixteen mobile blocks and the last convolution, or the first so many. Weights are random."""
    return _network(options, STAGES)


def efficientnet_lite2(options: EfficientNetLite2Options) -> Network:
    """The same a tenth wider and a fifth deeper: twenty-one mobile blocks between stem and last convolution."""
    return _network(options, scaled(1.1, 1.2))


def _network(options: EfficientNetLite0Options | EfficientNetLite2Options, plan: Sequence[Stage]) -> Network:
    widths = [STEM, *(stage.width for stage in plan)]
    blocks: list[nn.Module] = [nn.Sequential(*conv_norm(options.channels, STEM, 3, 2))]
    for (before, _), stage in zip(pairwise(widths), plan, strict=True):
        blocks += _stage_blocks(before, stage)
    blocks.append(nn.Sequential(*conv_norm(widths[-1], FEATURES, 1)))
    spec = square_input(options.channels, options.image_size, mean=MEAN, std=STD)
    features = [STEM, *(stage.width for stage in plan for _ in range(stage.repeats)), FEATURES][options.blocks - 1]
    kept, stages = blocks[: options.blocks], slice(1, len(blocks) - 1)
    return Network(kept, features=features, input_spec=spec, options=options, stages=stages)


def _stage_blocks(channels_in: int, stage: Stage) -> Sequence[nn.Module]:
    rest = [MobileBlock(stage.width, stage, 1) for _ in range(stage.repeats - 1)]
    return [MobileBlock(channels_in, stage, stage.stride), *rest]
