"""Looks at one image: as it is and in the same few seeded warps, each turned as well, embedded and joined into one.

Averaging over warped copies at test makes up for what a network did not learn about shifts, turns and slants. The
warps are the same for every image and follow the recipe's seed, so that an image has one embedding whatever it is
embedded with, and the index may hold it.

To a network that learned turned classes as classes of their own, the same image a quarter turned is another question,
in which it errs elsewhere: what the turns give stands side by side, for a mean over them would say nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from nearkin.augment import draw_grids, oblong_problem, warp
from nearkin.contracts import InputSpec, Method, Metric
from nearkin.errors import UsageError
from nearkin.recipe.model import EmbedOptions


class Looks:
    """`embed.views` versions of any image of one size, each with its `embed.rotations`."""

    def __init__(self, options: EmbedOptions, spec: InputSpec, seed: int) -> None:
        self.options = options
        self.size = spec.size
        self.seed = seed
        self.turns = tuple(degrees // 90 for degrees in options.rotations)
        if problem := oblong_problem("embed.rotations", spec.size, self.turns):
            raise UsageError(problem)

    @cached_property
    def grids(self) -> Sequence[Tensor]:
        """Where each warp reads the image: (h, w, 2) each."""
        if self.options.warp is None:
            return ()
        generator = torch.Generator().manual_seed(self.seed)
        return draw_grids(self.options.views - 1, self.size, self.options.warp, generator).unbind()

    def of(self, images: Tensor) -> Iterator[tuple[Tensor, ...]]:
        """(n, channels, h, w) -> as they are, then each warp of all of them; of each, itself and its turns."""
        yield self._with_turns(images)
        for grid in self.grids:
            yield self._with_turns(warp(images, grid.to(images.device).expand(images.shape[0], -1, -1, -1)))

    @property
    def side_by_side(self) -> int:
        """How many embeddings of the backbone one of the model's is made of."""
        return (self.options.views if self.options.join == "concat" else 1) * (1 + len(self.turns))

    def joined(self, looks: Sequence[Sequence[Tensor]], method: Method) -> Tensor:
        """(n, d) of each turn of each look, from the backbone -> (n, d * side_by_side), as `method` compares them."""
        if len(looks) > 1 and self.options.join == "mean":
            looks = [[torch.stack(turn).mean(dim=0) for turn in zip(*looks, strict=True)]]
        turns = [concatenated([method.transform(turned) for turned in look], method.metric) for look in looks]
        return concatenated(turns, method.metric)

    def _with_turns(self, images: Tensor) -> tuple[Tensor, ...]:
        return images, *(torch.rot90(images, turn, dims=(2, 3)) for turn in self.turns)


def concatenated(parts: Sequence[Tensor], metric: Metric) -> Tensor:
    """(n, d) of each look or turn, transformed -> (n, parts * d), so that distances are means over them; one stays.

    l1 and cosine exactly; for l2 its square is the mean of the squares.
    """
    if len(parts) == 1:
        return parts[0]
    if metric == "cosine":
        parts = [F.normalize(part, dim=1) for part in parts]
    scale = len(parts) if metric == "l1" else math.sqrt(len(parts))
    return torch.cat(list(parts), dim=1) / scale
