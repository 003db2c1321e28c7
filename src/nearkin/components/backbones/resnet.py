"""Residual networks: the few-shot field's ResNet-12, and ResNet-18."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from nearkin.components.backbones.network import Network, square_input
from nearkin.components.backbones.options import ResNet12Options, ResNet18Options

GROWTH = (1.0, 2.5, 5.0, 10.0)
"""ResNet-12's channels by block, 64 - 160 - 320 - 640, in units of the first (Lee et al. 2019, MetaOptNet)."""


class Residual(nn.Module):
    """A path and a shortcut around it, added, then an activation and pooling."""

    def __init__(self, path: nn.Module, shortcut: nn.Module, after: nn.Module) -> None:
        super().__init__()
        self.path, self.shortcut, self.after = path, shortcut, after

    def forward(self, images: Tensor) -> Tensor:
        """(b, channels, h, w) -> the same with other channels, and smaller where `after` pools or the path strides."""
        out: Tensor = self.after(self.path(images) + self.shortcut(images))
        return out


def conv_norm(channels_in: int, channels_out: int, *, kernel: int = 3, stride: int = 1) -> list[nn.Module]:
    """A convolution that keeps the size (stride apart), and its batch norm."""
    convolution = nn.Conv2d(channels_in, channels_out, kernel, stride, padding=kernel // 2, bias=False)
    return [convolution, nn.BatchNorm2d(channels_out)]


def resnet12_block(channels_in: int, channels_out: int) -> Residual:
    """Three convolutions, LeakyReLU(0.1), 2x2 max-pooling (Oreshkin et al. 2018, TADAM; Lee et al. 2019)."""
    path = [
        *conv_norm(channels_in, channels_out), nn.LeakyReLU(0.1),
        *conv_norm(channels_out, channels_out), nn.LeakyReLU(0.1),
        *conv_norm(channels_out, channels_out),
    ]  # fmt: skip
    shortcut = nn.Sequential(*conv_norm(channels_in, channels_out, kernel=1))
    return Residual(nn.Sequential(*path), shortcut, nn.Sequential(nn.LeakyReLU(0.1), nn.MaxPool2d(2)))


def resnet12(options: ResNet12Options) -> Network:
    """Four residual blocks. The papers train it with DropBlock; it is left out here."""
    widths = [options.channels, *(round(options.width * growth) for growth in GROWTH)]
    return Network(
        [resnet12_block(*pair) for pair in pairwise(widths)],
        features=widths[-1],
        input_spec=square_input(options.channels, options.image_size, mean=0.5, std=0.5),
        options=options,
    )


def basic_block(channels_in: int, channels_out: int, stride: int) -> Residual:
    """Two convolutions and a shortcut (He et al. 2016, figure 5 left; option B where the shape changes)."""
    path = [
        *conv_norm(channels_in, channels_out, stride=stride), nn.ReLU(), *conv_norm(channels_out, channels_out)
    ]  # fmt: skip
    changes = stride != 1 or channels_in != channels_out
    shortcut = nn.Sequential(*conv_norm(channels_in, channels_out, kernel=1, stride=stride)) if changes else None
    return Residual(nn.Sequential(*path), shortcut or nn.Identity(), nn.ReLU())


def resnet18(options: ResNet18Options) -> Network:
    """The stem and four stages of two basic blocks each: five blocks to freeze (He et al. 2016, table 1)."""
    widths = [options.width * factor for factor in (1, 1, 2, 4, 8)]
    stem = nn.Sequential(
        *conv_norm(options.channels, options.width, kernel=7, stride=2), nn.ReLU(), nn.MaxPool2d(3, 2, padding=1)
    )
    stages = [
        nn.Sequential(basic_block(before, after, 1 if place == 0 else 2), basic_block(after, after, 1))
        for place, (before, after) in enumerate(pairwise(widths))
    ]
    return Network(
        [stem, *stages],
        features=widths[-1],
        input_spec=square_input(options.channels, options.image_size, mean=0.5, std=0.5),
        options=options,
        stages=slice(1, None),
    )
