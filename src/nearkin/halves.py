"""A backbone in two halves: features that a frozen trunk gives once an image, and the head that learns on them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from torch import Tensor, nn

from nearkin.contracts import Backbone, Halved


def first_half(backbone: Backbone) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    """What sees the images, as a module and as a call, to (b, f). All of a backbone that names no halves."""
    part: Any = backbone
    return (part.trunk, part.features) if isinstance(backbone, Halved) else (part, part)


def second_half(backbone: Backbone, features: Tensor) -> Tensor:
    """The rest: (b, f) -> (b, d). Of a backbone that names no halves these are embeddings already."""
    return cast(Halved, backbone).projected(features) if isinstance(backbone, Halved) else features
