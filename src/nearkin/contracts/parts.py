"""Parts: the Protocols that backbones, samplers, losses and methods keep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

from nearkin.contracts.batches import Batch, Structure
from nearkin.contracts.types import ClassRule, FloatArray, InputSpec, IntArray, Metric

if TYPE_CHECKING:
    from torch import Tensor


class Backbone(Protocol):
    """(b, channels, h, w) normalised images -> (b, d) embeddings. A torch module.

    One that ends in a projection head may name the rest of itself `trunk`, a torch module: that is what
    `train.optimizer.backbone_lr` moves, and what a warm start must be able to take. See `Halved` too.

    One whose middle can be a space for the outlier score (`unknown.space`) names it `stages`: its torch modules in
    order, which a recipe counts from 1. Each gives one tensor: (b, channels, h, w), (b, tokens, d) or (b, d).
    """

    input: InputSpec
    embedding_dim: int

    def __call__(self, images: Tensor) -> Tensor:
        """(b, channels, h, w) -> (b, d)."""


@runtime_checkable
class Halved(Protocol):
    """A backbone that can be run in two halves, so that one whose `trunk` is frozen sees each image once. Optional."""

    trunk: Any
    """All that sees images: a torch module, the projection head not in it."""

    def features(self, images: Tensor) -> Tensor:
        """(b, channels, h, w) normalised -> (b, f), by the trunk alone."""

    def projected(self, features: Tensor) -> Tensor:
        """(b, f) -> (b, d): `projected(features(images))` is what a call gives."""


class Sampler(Protocol):
    """Turns labels into batches: a batch is a function of labels, options, seed and step alone.

    So a resumed run, another number of workers, or several processes (rank r takes steps r, r + W, ...) see the same.
    """

    steps_per_epoch: int

    def batch(self, step: int) -> Batch:
        """The batch of step 0, 1, 2, ..."""


class Loss(Protocol):
    """pytorch-metric-learning's signature: (b, d), (b,) -> scalar. A callable or a torch module."""

    def __call__(self, embeddings: Tensor, labels: Tensor, indices_tuple: Any = None) -> Tensor:
        """(b, d), (b,), structure -> scalar."""


@runtime_checkable
class Active(Protocol):
    """A loss, or a method, that can say how much of its last batch still teaches. Optional; training diagnosis asks."""

    def activity(self) -> float | None:
        """The share of the batch's pairs or triplets whose loss is above zero; `None` where it is of other things."""


class Method(Protocol):
    """How embeddings are trained and compared. A torch module where it has weights of its own.

    A method that no index can serve has an attribute `no_index`: the reason, a sentence. Its runs have no index, and
    `compare` is how they answer.
    """

    metric: Metric
    class_rule: ClassRule

    def loss(self, embeddings: Tensor, labels: Tensor, structure: Structure) -> Tensor:
        """(b, d) raw embeddings, (b,) class codes, positions -> scalar."""

    def transform(self, embeddings: Tensor) -> Tensor:
        """(n, d) raw -> (n, d) as the index stores and compares them under `metric`."""

    def compare(self, queries: Tensor, support: Tensor, support_labels: Tensor) -> Tensor:
        """(q, d), (s, d) transformed, (s,) codes 0..c-1 -> (q, c) scores, higher is closer."""


@dataclass(frozen=True)
class Embedded:
    """Images turned into embeddings, with what lets an index recognise them again.

    An index takes it wherever it takes embeddings.
    """

    vectors: FloatArray
    """(n, d), transformed."""
    digests: tuple[str, ...] = ()
    """A hash of each image's decoded pixels: copies of one image share it. Left out: not known."""
    sources: tuple[str, ...] = ()
    """Where each came from: a path, or `array`, `image`. Left out: not known."""
    space: FloatArray | None = None
    """(n, e) where each lies in the space of the outlier score, where that is another than the label's."""
    folds: tuple[Embedded, ...] = ()
    """The same images by each fold's model, where an index is calibrated cross-conformally."""

    def __len__(self) -> int:
        return len(self.vectors)

    def rows(self, which: slice | IntArray) -> Embedded:
        """Those of a slice, or at (m,) positions."""
        chosen = range(len(self))[which] if isinstance(which, slice) else which.tolist()
        digests, sources = (
            tuple(kept[row] for row in chosen) if len(kept) else () for kept in (self.digests, self.sources)
        )
        space = None if self.space is None else self.space[which]
        return Embedded(self.vectors[which], digests, sources, space, tuple(fold.rows(which) for fold in self.folds))


Embed: TypeAlias = Callable[[Sequence[Any]], Embedded]
"""What an index is handed: a list of images in, their embeddings out."""
