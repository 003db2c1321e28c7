"""The built-in backbones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nearkin.components.backbones.options import (
    ConvOptions,
    EfficientNetLite0Options,
    EfficientNetLite2Options,
    EfficientNetOptions,
    ResNet12Options,
    ResNet18Options,
    VggOptions,
)
from nearkin.contracts import Backbone, Build, Register

if TYPE_CHECKING:
    from nearkin.components.backbones.network import Network


def register_backbones(register: Register) -> None:
    """The few-shot field's conv4, smaller and larger ones, and EfficientNet-Lite with ImageNet weights."""
    register(
        "conv2", make_conv2, options=ConvOptions, summary="Two convolution blocks: half of conv4, for quick looks."
    )
    register(
        "conv4", make_conv4, options=ConvOptions, summary="Four convolution blocks: the few-shot field's yardstick."
    )
    register("conv6", make_conv6, options=ConvOptions, summary="Six convolution blocks, the last two without pooling.")
    register("vgg", make_vgg, options=VggOptions, summary="Stages of several convolutions each: deeper than conv4.")
    register("resnet12", make_resnet12, options=ResNet12Options, summary="The few-shot field's residual network.")
    register("resnet18", make_resnet18, options=ResNet18Options, summary="ResNet-18 (He et al. 2016), from scratch.")
    register(
        "efficientnet_lite0",
        make_efficientnet_lite0,
        options=EfficientNetLite0Options,
        summary="EfficientNet-Lite0, from ImageNet weights (extra `pretrained`) or from scratch.",
    )
    register(
        "efficientnet_lite2",
        make_efficientnet_lite2,
        options=EfficientNetLite2Options,
        summary="EfficientNet-Lite2, a tenth wider and a fifth deeper, from ImageNet weights or from scratch.",
    )


def make_conv2(options: ConvOptions, build: Build) -> Backbone:
    """Two blocks."""
    return _conv_net(options, blocks=2)


def make_conv4(options: ConvOptions, build: Build) -> Backbone:
    """Four blocks."""
    return _conv_net(options, blocks=4)


def make_conv6(options: ConvOptions, build: Build) -> Backbone:
    """Six blocks."""
    return _conv_net(options, blocks=6)


def _conv_net(options: ConvOptions, blocks: int) -> Backbone:
    from nearkin.components.backbones.conv import conv_net

    return conv_net(options, blocks)


def make_vgg(options: VggOptions, build: Build) -> Backbone:
    """As the options say."""
    from nearkin.components.backbones.conv import vgg

    return vgg(options)


def make_resnet12(options: ResNet12Options, build: Build) -> Backbone:
    """As the options say."""
    from nearkin.components.backbones.resnet import resnet12

    return resnet12(options)


def make_resnet18(options: ResNet18Options, build: Build) -> Backbone:
    """As the options say."""
    from nearkin.components.backbones.resnet import resnet18

    return resnet18(options)


def make_efficientnet_lite0(options: EfficientNetLite0Options, build: Build) -> Backbone:
    """As the options say."""
    from nearkin.components.backbones.efficientnet import efficientnet_lite0

    return _begun(efficientnet_lite0(options), options, build, "efficientnet_lite0")


def make_efficientnet_lite2(options: EfficientNetLite2Options, build: Build) -> Backbone:
    """As efficientnet_lite0."""
    from nearkin.components.backbones.efficientnet import efficientnet_lite2

    return _begun(efficientnet_lite2(options), options, build, "efficientnet_lite2")


def _begun(network: Network, options: EfficientNetOptions, build: Build, name: str) -> Backbone:
    """With ImageNet weights where they are asked for and no trained ones follow."""
    from nearkin.components.backbones.imagenet import load_imagenet

    if options.weights == "imagenet" and not build.weights_follow:
        load_imagenet(network, options.channels, name)
    return network
