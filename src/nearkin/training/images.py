"""The images that training may see, decoded, and a batch of them as the network gets it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nearkin.augment import augment, oblong_problem, turned
from nearkin.contracts import FloatArray, IntArray, Split
from nearkin.data.extra import AS_IT_IS, Variant
from nearkin.errors import DataError, listing
from nearkin.model import EMBED_BATCH
from nearkin.recipe.train_options import AugmentOptions
from nearkin.training.composing import composed


@dataclass(frozen=True)
class LabelledImages:
    """The images of one split, decoded: what the loop may see of it."""

    split: Split
    keys: tuple[str, ...]
    images: FloatArray
    """(m, channels, h, w) in [0, 1]: the whole store's, of which `rows` are this split's."""
    labels: IntArray
    """(n * variants,) class codes: item i is image i mod n in variant i // n."""
    variants: tuple[Variant, ...] = (AS_IT_IS,)
    rows: IntArray | None = None
    """(n,) left out: all, in their order."""

    @property
    def own(self) -> FloatArray:
        """(n, channels, h, w) of this split alone: a copy where there are others."""
        return self.images if self.rows is None else self.images[self.rows]

    def names(self, items: IntArray) -> list[str]:
        """What the items' images are called."""
        return [self.keys[item % len(self.keys)] for item in items]


class Batches:
    """Batches on a device: images gathered, turned and augmented there."""

    def __init__(
        self,
        given: LabelledImages,
        options: AugmentOptions | None,
        device: torch.device,
        layers: nn.Sequential | None = None,
    ) -> None:
        self.variants = given.variants
        self.layers = layers
        self.options = options
        self.device = device
        self.n = len(given.keys)
        # On the CPU the store's own memory; a device of its own gets this split alone.
        shared = device.type == "cpu" and given.rows is not None
        self._rows = torch.from_numpy(given.rows) if shared and given.rows is not None else None
        self._images = torch.from_numpy(given.images if shared else given.own).to(device)
        self._labels = torch.from_numpy(given.labels).to(device)
        self._embeddings: Tensor | None = None

    def of(self, items: IntArray) -> tuple[Tensor, Tensor]:
        """(b,) item numbers -> (b, channels, h, w) in [0, 1], or (b, d) once embedded; (b,) class codes."""
        chosen = torch.from_numpy(items).to(self.device)
        labels = self._labels[chosen]
        if self._embeddings is not None:
            return self._embeddings[chosen], labels
        images = self._gathered(chosen)
        if self.options and self.options.compose:
            images, labels = composed(images, labels, self.options.compose)
        return self._augmented(images), labels

    def _gathered(self, chosen: Tensor) -> Tensor:
        places = chosen % self.n
        images = self._images[places if self._rows is None else self._rows[places]]
        return turned(images, chosen // self.n, self.variants) if len(self.variants) > 1 else images

    def _augmented(self, images: Tensor) -> Tensor:
        if self.options:
            images = augment(images, self.options)
        return self.layers(images).clamp(0, 1) if self.layers else images

    @torch.no_grad()
    def embed_once(self, embed: Callable[[Tensor], Tensor]) -> None:
        """Embed every item now, in chunks, and hand out embeddings from here on."""
        numbers = torch.arange(len(self._labels), device=self.device)
        made = (embed(self._augmented(self._gathered(chunk))) for chunk in torch.split(numbers, EMBED_BATCH))
        self._embeddings = torch.cat([part.float() for part in made])


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
    if problem := oblong_problem("data.extra_classes", size, (variant.quarter_turns for variant in variants)):
        raise DataError(problem)
