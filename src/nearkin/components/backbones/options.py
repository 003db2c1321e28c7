"""What the built-in backbones may be told."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from nearkin.contracts import Options

Blocks = Annotated[int, Field(ge=1)]


class BackboneOptions(Options):
    """What every built-in backbone may be told."""

    channels: Literal[1, 3] = 1
    """1 for gray, 3 for colour."""
    pool: Literal["mean", "flatten"] = "mean"
    """The last block's map: its mean over places, or every place's channels side by side."""
    embedding_dim: Annotated[int, Field(ge=1, le=4096)] | None = None
    """A projection head to this many dimensions. Left out: the pooled features as they are, as in the papers."""
    head: Literal["linear", "mlp"] = "linear"
    """The projection head's form, where `embedding_dim` asks for one. `mlp`: a hidden layer of ReLUs before it."""
    normalize: bool | Literal["softmax"] = False
    """Whether embeddings are brought to unit length (L2). `softmax`: to probabilities, where a base's projection head
    gives one score a class (`method.layer: false`)."""
    freeze: Literal["none", "all", "everything"] | Blocks = "none"
    """Which blocks never learn: none, all, or the first so many. The projection head learns all the same, unless it is
    `everything`."""
    frozen_batch_norm: bool = False
    """Whether batch norms keep their statistics and weights while training: for fine-tuning in few steps."""


class ConvOptions(BackboneOptions):
    """Options of conv2, conv4 and conv6."""

    image_size: Annotated[int, Field(ge=16, le=1024)] = 28
    """Height and width in pixels that every image is brought to."""
    width: Annotated[int, Field(ge=1, le=1024)] = 64
    """Channels of every block."""


Width = Annotated[int, Field(ge=1, le=1024)]


class VggOptions(BackboneOptions):
    """Options of vgg."""

    image_size: Annotated[int, Field(ge=16, le=1024)] = 32
    """Height and width in pixels that every image is brought to."""
    stages: Annotated[
        tuple[Annotated[tuple[Width, ...], Field(min_length=1, max_length=16)], ...], Field(min_length=1, max_length=8)
    ] = ((32,), (64, 64), (128, 128), (128,))
    """The channels of each convolution, stage by stage; each stage ends by halving the image."""


class ResNet12Options(BackboneOptions):
    """Options of resnet12."""

    image_size: Annotated[int, Field(ge=16, le=1024)] = 84
    """Height and width in pixels that every image is brought to."""
    width: Annotated[int, Field(ge=1, le=512)] = 64
    """Channels of the first block; the others have 2.5, 5 and 10 times as many, as in the paper."""


class ResNet18Options(BackboneOptions):
    """Options of resnet18."""

    image_size: Annotated[int, Field(ge=32, le=1024)] = 224
    """Height and width in pixels that every image is brought to."""
    width: Annotated[int, Field(ge=1, le=512)] = 64
    """Channels of the first stage; they double at every other stage."""


class EfficientNetOptions(BackboneOptions):
    """What both sizes of EfficientNet-Lite have in common."""

    weights: Literal["imagenet"] | None = None
    """`imagenet` begins from weights trained on ImageNet (extra `pretrained`); left out: random ones."""


class EfficientNetLite0Options(EfficientNetOptions):
    """Options of efficientnet_lite0."""

    image_size: Annotated[int, Field(ge=32, le=1024)] = 224
    """Height and width in pixels that every image is brought to. The ImageNet weights were trained at 224."""
    blocks: Annotated[int, Field(ge=2, le=18)] = 18
    """How many: the stem, sixteen mobile blocks, the last convolution. Fewer end in the middle, where features are less
    ImageNet's own: often better for a few images of another kind."""


class EfficientNetLite2Options(EfficientNetOptions):
    """Options of efficientnet_lite2."""

    image_size: Annotated[int, Field(ge=32, le=1024)] = 260
    """Height and width in pixels that every image is brought to. The ImageNet weights were trained at 260."""
    blocks: Annotated[int, Field(ge=2, le=23)] = 23
    """How many: the stem, twenty-one mobile blocks, the last convolution. Fewer end in the middle."""
