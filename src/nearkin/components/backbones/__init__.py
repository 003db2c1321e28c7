"""The built-in backbones."""

from __future__ import annotations

from nearkin.components.backbones.options import ConvOptions
from nearkin.contracts import Backbone, Build, Register


def register_backbones(register: Register) -> None:
    """conv4, and conv2 for very small images or very little time."""
    register(
        "conv4", make_conv4, options=ConvOptions, summary="Four convolution blocks: the few-shot field's yardstick."
    )
    register(
        "conv2", make_conv2, options=ConvOptions, summary="Two convolution blocks: half of conv4, for quick looks."
    )


def make_conv4(options: ConvOptions, build: Build) -> Backbone:
    """A conv4 as the options say."""
    return _make(options, blocks=4)


def make_conv2(options: ConvOptions, build: Build) -> Backbone:
    """A conv2 as the options say."""
    return _make(options, blocks=2)


def _make(options: ConvOptions, blocks: int) -> Backbone:
    from nearkin.components.backbones.conv import ConvNet

    return ConvNet(options, blocks)
