"""Several backbones side by side: every image goes through each, and their embeddings are joined into one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nearkin.contracts import Backbone, InputSpec
from nearkin.errors import UsageError


class SideBySide(nn.Module):
    """(b, channels, h, w) in [0, 1] -> (b, d): the embeddings of its members one after the other.

    Images come at the largest member's size and not normalised; each member gets them at its own size, normalised as
    it wants them. Itself a `Backbone`. Raises `UsageError` where some members take gray images and others colour.
    """

    def __init__(self, members: Sequence[Backbone]) -> None:
        super().__init__()
        self.input = common_input([member.input for member in members])
        self.embedding_dim = sum(member.embedding_dim for member in members)
        self.members = nn.ModuleList(Fitted(member, self.input) for member in members)

    @property
    def trunk(self) -> nn.Module:
        """The members without their projection heads."""
        return nn.ModuleList(trunk_of(member) for member in members_of(self))

    @property
    def stages(self) -> Sequence[nn.Module]:
        """The first member's."""
        return cast(Fitted, self.members[0]).stages

    def forward(self, images: Tensor) -> Tensor:
        """(b, channels, h, w) in [0, 1] -> (b, d)."""
        return torch.cat([member(images) for member in self.members], dim=1)


class Fitted(nn.Module):
    """A backbone that is given images as another input spec has them, and makes of them what its own spec says."""

    mean: Tensor
    std: Tensor

    def __init__(self, backbone: Backbone, given: InputSpec) -> None:
        super().__init__()
        self.backbone = backbone
        self.given, self.wanted = given, backbone.input
        shape = (1, self.wanted.channels, 1, 1)
        self.register_buffer("mean", torch.tensor(self.wanted.mean).view(shape), persistent=False)
        self.register_buffer("std", torch.tensor(self.wanted.std).view(shape), persistent=False)

    @property
    def stages(self) -> Sequence[nn.Module]:
        """The backbone's: none where it names none."""
        return cast(Sequence[nn.Module], getattr(self.backbone, "stages", ()))

    def forward(self, images: Tensor) -> Tensor:
        """(b, channels, h, w) in [0, 1] -> (b, d)."""
        return self.backbone((self.fit(images) - self.mean) / self.std)

    def fit(self, images: Tensor) -> Tensor:
        """(b, channels, h, w) -> the same at the backbone's size, as `nearkin.data` brings an image to size."""
        top, left = (margin(side, self.wanted.crop / self.given.crop) for side in self.given.size)
        middle = images[:, :, top : self.given.size[0] - top, left : self.given.size[1] - left]
        if middle.shape[2:] == self.wanted.size:
            return middle
        return F.interpolate(middle, self.wanted.size, mode=self.wanted.interpolation, antialias=True).clamp(0, 1)


def margin(side: int, share: float) -> int:
    """How many of `side` pixels lie before their middle `share`."""
    return round(side * (1 - share) / 2)


def common_input(specs: Sequence[InputSpec]) -> InputSpec:
    """Images that every spec can be made from without being enlarged, not normalised.

    As large as the largest asks for, and made from a file as that one has it.
    """
    gray = [spec.channels == 1 for spec in specs]
    if len(set(gray)) > 1:
        first, other = 0, gray.index(not gray[0])
        told = [f"backbone.{place} takes {_told(specs[place])} images" for place in (first, other)]
        raise UsageError(f"{told[0]} and {told[1]}, and one image goes through both. Give both the same channels.")
    crop = max(spec.crop for spec in specs)
    # Of a wider view a spec's own middle share must still have its pixels.
    sizes = [tuple(math.ceil(side * (crop / spec.crop)) for side in spec.size) for spec in specs]
    size = max(height for height, _ in sizes), max(width for _, width in sizes)
    largest = specs[sizes.index(max(sizes, key=math.prod))]
    channels = specs[0].channels
    return InputSpec(size, channels, (0.0,) * channels, (1.0,) * channels, largest.interpolation, crop)


def _told(spec: InputSpec) -> str:
    return "gray (channels: 1)" if spec.channels == 1 else f"colour (channels: {spec.channels})"


def members_of(backbone: Backbone) -> Sequence[Backbone]:
    """Those that stand side by side, or the one that stands alone."""
    if not isinstance(backbone, SideBySide):
        return [backbone]
    return [cast(Fitted, member).backbone for member in backbone.members]


def staged(backbone: Backbone) -> nn.Module:
    """What of a backbone must run, on the same images, for its stages to speak: of several side by side the first."""
    return backbone.members[0] if isinstance(backbone, SideBySide) else cast(nn.Module, backbone)


def trunk_of(backbone: Backbone) -> nn.Module:
    """All of a backbone but its projection head, if it tells the two apart by a `trunk`."""
    trunk: nn.Module = getattr(backbone, "trunk", backbone)  # type: ignore[arg-type]  # a Protocol, and a torch module
    return trunk
