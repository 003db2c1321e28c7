"""Any of timm's models as a nearkin backbone (Wightman 2019, PyTorch Image Models)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from nearkin import Options, hookimpl
from nearkin.contracts import Backbone, Build, Register
from nearkin_timm.compatible import require_compatible

nearkin_api = 1


class TimmOptions(Options):
    """Options of timm."""

    model: Annotated[str, Field(min_length=1)]
    """timm's name of the model, as `timm.list_models()` has it."""
    pretrained: bool = False
    """Whether to begin from timm's weights, which are downloaded on first use; else from random ones."""
    channels: Literal[1, 3] = 3
    """3 for colour, 1 for gray, which gives what the same images in colour give."""
    image_size: Annotated[int, Field(ge=16, le=1024)] | None = None
    """Height and width in pixels. Left out: the model's own."""
    freeze: bool = False
    """Whether no weight of the model learns."""
    frozen_batch_norm: bool = False
    """Whether batch norms keep their statistics and weights while training."""


@hookimpl
def nearkin_backbones(register: Register) -> None:
    """The backbone `timm`. Raises where timm cannot work here, so that the listing of plugins says why."""
    require_compatible()
    register(
        "timm", make_timm, options=TimmOptions, summary="Any of timm's models by name, with its own preprocessing."
    )


def make_timm(options: TimmOptions, build: Build) -> Backbone:
    """The model as timm makes it, without its classifier."""
    from nearkin_timm.backbone import TimmBackbone

    return TimmBackbone(options, weights_follow=build.weights_follow)
