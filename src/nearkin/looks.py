"""Looks at one image: as it is and in the same few seeded warps, their embeddings joined into one.

Averaging over warped copies at test makes up for what a network did not learn about shifts, turns and slants. The
warps are the same for every image and follow the recipe's seed, so that an image has one embedding whatever it is
embedded with, and the index may hold it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from nearkin.augment import draw_grids, warp
from nearkin.contracts import InputSpec, Metric
from nearkin.recipe.model import EmbedOptions


class Looks:
    """`embed.views` versions of any image of one size."""

    def __init__(self, options: EmbedOptions, spec: InputSpec, seed: int) -> None:
        self.options = options
        self.size = spec.size
        self.seed = seed

    @cached_property
    def grids(self) -> Sequence[Tensor]:
        """Where each warp reads the image: (h, w, 2) each."""
        if self.options.warp is None:
            return ()
        generator = torch.Generator().manual_seed(self.seed)
        return draw_grids(self.options.views - 1, self.size, self.options.warp, generator).unbind()

    def of(self, images: Tensor) -> Iterator[Tensor]:
        """(n, channels, h, w) -> as they are, then each warp of all of them."""
        yield images
        for grid in self.grids:
            yield warp(images, grid.to(images.device).expand(images.shape[0], -1, -1, -1))


def concatenated(parts: Sequence[Tensor], metric: Metric) -> Tensor:
    """(n, d) of each look, transformed -> (n, looks * d), so that distances are means over the looks.

    l1 and cosine exactly; for l2 its square is the mean of the squares.
    """
    if metric == "cosine":
        parts = [F.normalize(part, dim=1) for part in parts]
    scale = len(parts) if metric == "l1" else math.sqrt(len(parts))
    return torch.cat(list(parts), dim=1) / scale
