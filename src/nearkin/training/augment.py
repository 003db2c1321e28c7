"""Random affine changes of a batch of images, on their device."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from nearkin.recipe.model import AugmentOptions


def augment(images: Tensor, options: AugmentOptions) -> Tensor:
    """(b, channels, h, w) -> the same, each image turned, zoomed and shifted on its own; edges repeat.

    Drawn from torch's global generator, which the trainer seeds for each step.
    """
    maps = random_affine(len(images), options).to(images.device)
    grid = F.affine_grid(maps, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def random_affine(count: int, options: AugmentOptions) -> Tensor:
    """(count, 2, 3) maps from output to input places, in the units of `affine_grid`: the image spans [-1, 1]."""
    turn = uniform(count) * math.radians(options.degrees)
    # affine_grid maps output to input: a zoom by z reads the input at 1/z.
    zoom = 1 / (1 + uniform(count) * options.scale)
    shift = torch.stack([uniform(count), uniform(count)], dim=1) * 2 * options.translate
    cos, sin = torch.cos(turn) * zoom, torch.sin(turn) * zoom
    rows = torch.stack([torch.stack([cos, -sin], dim=1), torch.stack([sin, cos], dim=1)], dim=1)
    return torch.cat([rows, shift[:, :, None]], dim=2)


def uniform(count: int) -> Tensor:
    """(count,) in [-1, 1)."""
    return torch.rand(count) * 2 - 1
