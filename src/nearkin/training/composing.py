"""New classes made of old ones: where few drawn signs are known, two of them in one picture are another sign."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from nearkin.errors import UsageError, listing


class Layout(NamedTuple):
    """How two images share a picture, for each of n pairs: where the second comes to lie; the first lies opposite."""

    scale: Tensor
    """(n, 2) of width and height."""
    shift: Tensor
    """(n, 2) to the right and down, the picture spanning [-1, 1]."""


def composed(images: Tensor, labels: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """(b, channels, h, w), (b,) class codes, equally many images each -> the same with `share` of the classes made new.

    Each image of such a class is put together with one of another class, which itself stays as it is: in one layout a
    class, one beside or above the other, or overlapping. New classes have codes of their own, above the batch's. Of two
    pixels the one stays that differs more from the ground, which is the median of the images' edges.
    Drawn from torch's global generator, which the trainer seeds for each step.
    """
    rows = by_class(labels)
    order = torch.randperm(len(rows))
    count = max(1, int(share * len(rows)))
    firsts, seconds = rows[order[:count]], rows[order[count : 2 * count]]
    layout = Layout(*(part.repeat_interleave(rows.shape[1], dim=0).to(images) for part in draw_layouts(count)))
    ground = ground_of(images)
    one, other = (
        placed(images[chosen.flatten()] - ground, Layout(layout.scale, sign * layout.shift))
        for chosen, sign in ((firsts, -1), (seconds, 1))
    )
    images, labels, codes = images.clone(), labels.clone(), labels.max() + 1 + torch.arange(count, device=labels.device)
    stays = one.abs().amax(dim=1, keepdim=True) >= other.abs().amax(dim=1, keepdim=True)
    images[firsts.flatten()] = torch.where(stays, one, other) + ground
    labels[firsts] = codes[:, None]
    return images, labels


def by_class(labels: Tensor) -> Tensor:
    """(b,) codes of c classes with m images each -> (c, m) their rows, in the batch's order."""
    counts = torch.unique(labels, return_counts=True)[1]
    if len(counts) < 2 or bool((counts != counts[0]).any()):
        has = listing(map(str, sorted({*counts.tolist()})))
        raise UsageError(
            "train.augment.compose puts together two or more classes of equally many images, and this batch has "
            f"{len(counts)} of {has} images. Delete that key, or take the sampler 'episodes'."
        )
    return labels.argsort(stable=True).view(len(counts), -1)


def draw_layouts(count: int) -> Layout:
    """Half of them side by side, each half as wide and 0.6 to 1 times as high; half overlap, at 0.55 to 0.75 of a size.

    Half of either kind with width and height exchanged.
    """
    beside, upright = torch.rand(2, count) < 0.5
    drawn, angle = torch.rand(count), (torch.rand(count) - 0.5) * math.pi
    along = torch.where(beside, 0.5, 0.55 + 0.2 * drawn)
    across = torch.where(beside, 0.6 + 0.4 * drawn, along)
    ahead = (1 - along) * torch.where(beside, 1.0, angle.cos().clamp(min=0.3))
    aside = (1 - across) * torch.where(beside, 0.0, angle.sin())
    scale, shift = torch.stack([along, across], dim=1), torch.stack([ahead, aside], dim=1)
    return Layout(*(torch.where(upright[:, None], part.flip(1), part) for part in (scale, shift)))


def ground_of(images: Tensor) -> Tensor:
    """(b, channels, h, w) -> (channels, 1, 1): the median of all pixels on the images' edges."""
    edges = (images[:, :, 0], images[:, :, -1], images[:, :, :, 0], images[:, :, :, -1])
    return torch.cat(edges, dim=2).transpose(0, 1).flatten(1).median(dim=1).values[:, None, None]


def placed(images: Tensor, layout: Layout) -> Tensor:
    """(n, channels, h, w) about a ground of 0 -> the same, each made smaller and moved."""
    maps = torch.cat([torch.diag_embed(1 / layout.scale), (-layout.shift / layout.scale)[:, :, None]], dim=2)
    return F.grid_sample(images, F.affine_grid(maps, list(images.shape), align_corners=False), align_corners=False)
