"""A second task without labels: by how many quarter turns was an image turned?

Gidaris, Singh and Komodakis 2018, "Unsupervised representation learning by predicting image rotations"; beside the main
task, and used for unknown images: Hendrycks et al. 2019, "Using self-supervised learning can improve model robustness
and uncertainty". To tell it, the last stage keeps what the classes alone do not ask of it.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nearkin.contracts import Backbone
from nearkin.errors import UsageError
from nearkin.modes import evaluating
from nearkin.side_by_side import staged
from nearkin.spaces import tapped

TURNS = 4


class RotationTask(nn.Module):
    """A linear layer on the last stage's features, averaged over places, and the weight of its loss."""

    def __init__(self, weight: float, backbone: Backbone) -> None:
        super().__init__()
        self.weight = weight
        self.last = len(getattr(backbone, "stages", ()))
        _refuse_unfit(backbone, self.last)
        self.head = nn.Linear(_width(backbone, self.last), TURNS)

    def forward(self, images: Tensor, backbone: Backbone) -> Tensor:
        """(b, channels, h, w) normalised -> the weighted loss, each image turned at random by torch's generator."""
        turns = torch.randint(TURNS, (len(images),), device=images.device)
        turned = torch.stack([torch.rot90(image, int(k), (1, 2)) for image, k in zip(images, turns, strict=True)])
        with tapped(backbone, [self.last]) as found:
            staged(backbone)(turned)
        with torch.autocast(images.device.type, enabled=False):
            return self.weight * F.cross_entropy(self.head(found[self.last]), turns)


def _refuse_unfit(backbone: Backbone, stages: int) -> None:
    height, width = backbone.input.size
    learns = stages and any(p.requires_grad for p in backbone.stages[-1].parameters())  # type: ignore[attr-defined]
    if not stages or not learns:
        what = "a last stage that learns" if stages else "a backbone that names its stages"
        raise UsageError(f"train.rotation needs {what}. Leave it out, or freeze less.")
    if height != width:
        raise UsageError(f"train.rotation needs square images, and the backbone takes {height} x {width}.")


@torch.no_grad()
def _width(backbone: Backbone, stage: int) -> int:
    """How many channels it has."""
    module, spec = cast(nn.Module, backbone), backbone.input
    with evaluating(module), tapped(backbone, [stage]) as found:
        module(torch.zeros(1, spec.channels, *spec.size))
    return found[stage].shape[1]
