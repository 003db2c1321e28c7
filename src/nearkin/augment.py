"""Warping a batch of images on its device: random shapes while training, the same few for every image at test."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from nearkin.data.extra import Variant
from nearkin.recipe.train_options import WarpOptions

ELASTIC_POINTS = 4
"""A side of the coarse grid."""


def augment(images: Tensor, options: WarpOptions) -> Tensor:
    """(b, channels, h, w) -> the same, each image warped on its own; edges repeat.

    Drawn from torch's global generator, which the trainer seeds for each step.
    """
    if not any((options.degrees, options.translate, options.scale, options.stretch, options.shear, options.elastic)):
        return images
    return warp(images, draw_grids(len(images), (images.shape[2], images.shape[3]), options).to(images.device))


def warp(images: Tensor, grids: Tensor) -> Tensor:
    """(b, channels, h, w), (b, h, w, 2) where each output pixel is read, the image spanning [-1, 1] -> (b, ...)."""
    return F.grid_sample(images, grids, padding_mode="border", align_corners=False)


def draw_grids(
    count: int, size: tuple[int, int], options: WarpOptions, generator: torch.Generator | None = None
) -> Tensor:
    """(count, h, w, 2) random grids; from torch's global generator unless given one."""
    maps = random_affine(count, options, generator)
    height, width = size
    maps[:, 0, 1] *= height / width  # both sides span [-1, 1]: without this, an oblong image would not turn but slant
    maps[:, 1, 0] *= width / height
    grids = F.affine_grid(maps, [count, 1, *size], align_corners=False)
    if not options.elastic:
        return grids
    coarse = _uniform(count, 2, ELASTIC_POINTS, ELASTIC_POINTS, generator=generator) * 2 * options.elastic
    fine = F.interpolate(coarse, size=size, mode="bicubic", align_corners=True)
    return grids + fine.permute(0, 2, 3, 1)


def random_affine(count: int, options: WarpOptions, generator: torch.Generator | None = None) -> Tensor:
    """(count, 2, 3) maps from output to input places, in the units of `affine_grid`: the image spans [-1, 1]."""
    turn = _uniform(count, generator=generator) * math.radians(options.degrees)
    # affine_grid maps output to input: a zoom by z reads the input at 1/z.
    zoom = 1 / (1 + _uniform(count, generator=generator) * options.scale)
    shift = torch.stack([_uniform(count, generator=generator) for _ in range(2)], dim=1) * 2 * options.translate
    cos, sin = torch.cos(turn) * zoom, torch.sin(turn) * zoom
    maps = _matrix(cos, -sin, sin, cos)
    if options.stretch:
        width = (1 + _uniform(count, generator=generator) * options.stretch).sqrt()
        maps = maps @ _matrix(1 / width, 0 * width, 0 * width, width)
    if options.shear:
        slant = (_uniform(count, 2, generator=generator) * math.radians(options.shear)).tan()
        ones = torch.ones(count)
        maps = maps @ _matrix(ones, slant[:, 0], slant[:, 1], ones)
    return torch.cat([maps, shift[:, :, None]], dim=2)


def _matrix(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    """Four (count,) -> (count, 2, 2)."""
    return torch.stack([torch.stack([a, b], dim=1), torch.stack([c, d], dim=1)], dim=1)


def _uniform(*shape: int, generator: torch.Generator | None = None) -> Tensor:
    """In [-1, 1)."""
    return torch.rand(shape, generator=generator) * 2 - 1


def oblong_problem(key: str, size: tuple[int, int], quarter_turns: Iterable[int]) -> str:
    """What is wrong with quarter turns of images of (height, width), or nothing."""
    if size[0] == size[1] or not any(turns % 2 for turns in quarter_turns):
        return ""
    return (
        f"{key}: quarter turns need square images, and the backbone takes {size[0]} x {size[1]}. "
        "Turn by 180 alone, or give the backbone a square input."
    )


def turned(images: Tensor, which: Tensor, variants: Sequence[Variant]) -> Tensor:
    """(b, channels, h, w), (b,) place in `variants` -> each image as its variant has it; images are square."""
    made = images
    for place, variant in enumerate(variants):
        rows = (which == place).nonzero().flatten()
        if len(rows) and variant != variants[0]:
            some = images[rows].flip(3) if variant.mirrored else images[rows]
            made = images.clone() if made is images else made
            made[rows] = torch.rot90(some, variant.quarter_turns, dims=(2, 3))
    return made
