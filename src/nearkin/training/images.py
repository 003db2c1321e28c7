"""The images that training may see, decoded, and a batch of them as the network gets it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nearkin.augment import augment, turned
from nearkin.contracts import FloatArray, IntArray, Split
from nearkin.data.extra import AS_IT_IS, Variant
from nearkin.errors import DataError, listing
from nearkin.recipe.model import AugmentOptions


@dataclass(frozen=True)
class LabelledImages:
    """The images of one split, decoded: what the loop may see of it."""

    split: Split
    keys: tuple[str, ...]
    images: FloatArray
    """(n, channels, h, w) in [0, 1]."""
    labels: IntArray
    """(n * variants,) class codes: item i is image i mod n in variant i // n."""
    variants: tuple[Variant, ...] = (AS_IT_IS,)

    def names(self, items: IntArray) -> list[str]:
        """What the items' images are called."""
        return [self.keys[item % len(self.keys)] for item in items]


class Batches:
    """Batches on a device: images gathered, turned and augmented there."""

    def __init__(self, given: LabelledImages, options: AugmentOptions | None, device: torch.device) -> None:
        self.variants = given.variants
        self.options = options
        self.device = device
        self._images = torch.from_numpy(given.images).to(device)
        self._labels = torch.from_numpy(given.labels).to(device)

    def of(self, items: IntArray) -> tuple[Tensor, Tensor]:
        """(b,) item numbers -> (b, channels, h, w) in [0, 1], (b,) class codes."""
        chosen = torch.from_numpy(items).to(self.device)
        images = self._images[chosen % len(self._images)]
        if len(self.variants) > 1:
            images = turned(images, chosen // len(self._images), self.variants)
        if self.options:
            images = augment(images, self.options)
        return images, self._labels[chosen]


def refuse_held_out(train: LabelledImages, select: LabelledImages | None) -> None:
    """Weights are fitted to train and chosen on select; calibrate and test must never be seen here."""
    if train.split != "train" or (select is not None and select.split != "select"):
        given = f"{train.split} and {select.split}" if select else train.split
        raise DataError(
            f"the trainer was given images of {given}: it fits weights on train and chooses on select alone. "
            "Images of calibrate and test would make the promise and the figures worthless."
        )
    both = set(train.keys) & set(select.keys if select else ())
    if both:
        raise DataError(f"images in both train and select: {listing(sorted(both))}. Give each one split.")


def refuse_oblong(size: tuple[int, int], variants: Sequence[Variant]) -> None:
    """A quarter turn of an oblong image has another shape than the network takes."""
    if size[0] != size[1] and any(variant.quarter_turns % 2 for variant in variants):
        raise DataError(
            f"data.extra_classes: quarter turns need square images, and the backbone takes {size[0]} x {size[1]}. "
            "Turn by 180 alone, or give the backbone a square input."
        )
