"""What each part promises the others: options, components, batches, the Protocols and the answer types.

Nothing heavy is imported here: arrays and tensors are named for the type checker only, so that a plugin
can be listed and a recipe validated without torch.

Shapes: b (batch), n (items), q (queries), s (support), c (classes), d (dims).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeAlias

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image
    from torch import Tensor

# Spelled as text, so that a plugin can import them without importing numpy.
FloatArray: TypeAlias = "NDArray[np.float32]"
IntArray: TypeAlias = "NDArray[np.int64]"
ImageLike: TypeAlias = "str | Path | Image | NDArray[Any]"

API_VERSION = 1
"""What a plugin module must declare as `nearkin_api`."""

Metric: TypeAlias = Literal["l1", "l2", "cosine"]
"""`l2` is not squared; `cosine` is 1 - cos. Smaller is closer."""
ClassRule: TypeAlias = Literal["nearest", "prototype", "attention"]
"""How a label follows from distances: nearest reference, nearest class mean, cosine attention."""
StructureKind: TypeAlias = Literal["labels", "pairs", "triplets", "episode"]
Status: TypeAlias = Literal["known", "ambiguous", "unknown"]
Split: TypeAlias = Literal["train", "select", "calibrate", "test"]


class Options(BaseModel):
    """The base of every options model: unknown keys are errors, values are not coerced, nothing changes later."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


# ---------------------------------------------------------------------------------------------- components


@dataclass(frozen=True)
class InputSpec:
    """The images a backbone takes. Pixels come in as [0, 1] and are normalised as (x - mean) / std, a channel each."""

    size: tuple[int, int]
    """(height, width) in pixels."""
    channels: Literal[1, 3]
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class Build:
    """What the surroundings decide, handed to every factory, so that no option has to say it a second time.

    A field is filled where it is known: a backbone is built before there is an `embedding_dim`.
    """

    seed: int
    classes: tuple[str, ...] = ()
    """The known classes; a label's code is its position here."""
    labels: IntArray | None = None
    """(n,) class codes of the training items, for samplers."""
    input: InputSpec | None = None
    embedding_dim: int | None = None
    loss: Loss | None = None
    """The recipe's loss, for a method that takes one."""


Kind: TypeAlias = Literal["backbone", "sampler", "loss", "method", "evaluator"]
Factory: TypeAlias = Callable[[Any, Build], Any]


@dataclass(frozen=True)
class Component:
    """One registered part: what a recipe names, what it may be told, and how it is made."""

    kind: Kind
    name: str
    distribution: str
    """The distribution (or local file) it came from; `distribution:name` always names it."""
    version: str
    summary: str
    options: type[Options]
    factory: Factory
    yields: StructureKind | None = None
    """Samplers: the structure of their batches."""
    takes: tuple[StructureKind, ...] = ()
    """Losses and methods: the structures they can use. Empty for a method that leaves it to its loss."""
    uses_loss: bool = False
    """Methods: whether the recipe must name a loss (else it must not)."""

    @property
    def qualified(self) -> str:
        """`distribution:name`."""
        return f"{self.distribution}:{self.name}"


class Register(Protocol):
    """The callback that a hook gets, bound to the plugin's distribution."""

    def __call__(
        self,
        name: str,
        factory: Factory,
        *,
        summary: str,
        options: type[Options] = Options,
        yields: StructureKind | None = None,
        takes: Sequence[StructureKind] = (),
        uses_loss: bool = False,
    ) -> None: ...


# ------------------------------------------------------------------------------------------------- batches


class Pairs(NamedTuple):
    """Positions in a batch: `(a1[i], p[i])` are of one class, `(a2[j], n[j])` are not.

    The order of pytorch-metric-learning's indices_tuple.
    """

    a1: Any
    p: Any
    a2: Any
    n: Any


class Triplets(NamedTuple):
    """Positions in a batch: anchor, positive (same class), negative (another class)."""

    a: Any
    p: Any
    n: Any


class Episode(NamedTuple):
    """Positions in a batch: the labelled support and the queries to classify; disjoint."""

    support: Any
    query: Any


Structure: TypeAlias = Pairs | Triplets | Episode | None
"""`None`: labels alone."""


@dataclass(frozen=True)
class Batch:
    """Unique training items, and a structure over their positions 0..m-1 in this batch: each is embedded once."""

    items: IntArray
    """(m,) positions in the training set, no repeats."""
    structure: Structure = None


# ----------------------------------------------------------------------------------------------- protocols


class Backbone(Protocol):
    """(b, channels, h, w) normalised images -> (b, d) embeddings. A torch module."""

    input: InputSpec
    embedding_dim: int

    def __call__(self, images: Tensor) -> Tensor:
        """(b, channels, h, w) -> (b, d)."""


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


class Method(Protocol):
    """How embeddings are trained and compared. A torch module where it has weights of its own."""

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
    """Images turned into embeddings, with what lets an index recognise them again."""

    vectors: FloatArray
    """(n, d), transformed."""
    digests: tuple[str, ...]
    """A hash of each image's decoded pixels: copies of one image share it."""
    sources: tuple[str, ...]
    """Where each came from: a path, or `array`, `image`."""


Embed: TypeAlias = Callable[[Sequence[Any]], Embedded]
"""What an index is handed: a list of images in, their embeddings out."""


# ------------------------------------------------------------------------------------------------- answers


@dataclass(frozen=True)
class Neighbor:
    """One reference near a query."""

    id: int
    label: str
    distance: float
    source: str
    group: str


@dataclass(frozen=True)
class Promise:
    """What stands behind an answer's status."""

    alpha: float
    """At most this share of each calibrated class's images is flagged unknown, on average over draws."""
    way: Literal["held-out"] | None
    """How the scores were calibrated; `None` where nothing is."""
    groups: Mapping[str, int]
    """Calibration groups a class."""
    uncalibrated: Mapping[str, str]
    """Classes that promise nothing, each with the reason (too few, stale, none given)."""


@dataclass(frozen=True)
class Answer:
    """What the index says of one image."""

    status: Status | None
    """`None` where nothing is calibrated for the class that is nearest."""
    label: str
    """The nearest cluster by the method's class rule, whatever the status."""
    distance: float
    """To that cluster's nearest reference, in the index's metric."""
    distances: Mapping[str, float]
    """Per class: to its nearest reference."""
    p_values: Mapping[str, float]
    """Per calibrated class: the conformal p-value of belonging to it."""
    neighbors: tuple[Neighbor, ...]
    """Nearest first."""
    reason: str
    """One plain sentence."""
    promise: Promise


# ---------------------------------------------------------------------------------------------- evaluation


class QueryableIndex(Protocol):
    """What evaluators need of an index: answers for (q, d) embeddings."""

    metric: Metric
    alpha: float

    def query(self, queries: Any, *, k: int = 5, alpha: float | None = None) -> Any:
        """(q, d) -> a list of q Answers."""


@dataclass(frozen=True)
class View:
    """The test items in one embedding space: the model's own, or a baseline's (pixels, the untrained backbone).

    Evaluators get every view in turn, so each figure stands beside its baselines.
    """

    name: Literal["model", "pixels", "untrained"]
    embeddings: FloatArray
    """(n, d) of the test items, transformed."""
    labels: tuple[str, ...]
    groups: tuple[str, ...]
    digests: tuple[str, ...]
    classes: tuple[str, ...]
    """The known classes; an item of any other label is an unknown."""
    trained_digests: frozenset[str]
    """Images that trained the model or an ancestor, whichever the view: they never take part in a question."""
    index: QueryableIndex
    """References and calibration of the same draw, in this space."""
    seed: int
    """Evaluators draw from this alone: all views get the same questions and the same resamples."""


@dataclass(frozen=True)
class Figure:
    """One measured number, with how far it can be trusted."""

    name: str
    value: float | None
    """`None` where it cannot be measured; `note` says why."""
    low: float | None = None
    high: float | None = None
    """95% interval."""
    n: int = 0
    """How many of `resampled` stand behind it."""
    resampled: Literal["images", "groups"] = "images"
    note: str = ""
    """How it was computed, or why it could not be."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """Plain JSON: a confusion matrix, an exact range."""
    replicates: tuple[float, ...] = ()
    """The bootstrap values behind the interval: same seed, same resamples, so two views' can be subtracted."""


class Evaluator(Protocol):
    """Measures one view. The same seed draws the same questions, whatever the view."""

    def evaluate(self, view: View) -> Sequence[Figure]:
        """Every figure of this evaluator, measurable or not."""
