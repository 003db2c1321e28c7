"""Figures: what evaluators are shown, and what they give back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

from nearkin.contracts.parts import Embedded
from nearkin.contracts.types import FloatArray, IntArray, Metric


class QueryableIndex(Protocol):
    """What evaluators need of an index: answers for q embeddings."""

    @property
    def metric(self) -> Metric:
        """How its distances are measured."""

    @property
    def alpha(self) -> float:
        """At which it decides."""

    def query(self, queries: Any, *, k: int = 5, alpha: float | None = None) -> Any:
        """`view.asked(rows)`, or (q, d) where the outlier score has no space of its own -> a list of q Answers."""


Compare: TypeAlias = "Callable[[FloatArray, FloatArray, IntArray], FloatArray]"
"""(q, d) queries, (s, d) support, (s,) class codes 0..c-1 -> (q, c) scores, higher is closer."""


@dataclass(frozen=True)
class LabelledEmbeddings:
    """Labelled items in one embedding space."""

    embeddings: FloatArray
    """(n, d), transformed."""
    labels: tuple[str, ...]
    groups: tuple[str, ...]
    digests: tuple[str, ...]


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
    seen_digests: frozenset[str]
    """Images that trained the model or an ancestor, chose its weights or calibrated it: no figure rests on them."""
    index: QueryableIndex
    """References and calibration of the same draw, in this space."""
    seed: int
    """Evaluators draw from this alone: all views get the same questions and the same resamples."""
    select: LabelledEmbeddings | None = None
    """The select items in this space: what is chosen (a threshold) is chosen on them. `None` where there are none."""
    compare: Compare | None = None
    """How the method scores queries against any support; `None` for the nearest support in the index's metric."""
    space: FloatArray | None = None
    """(n, e) where they lie in the outlier score's own space, where it has one."""
    folds: tuple[Embedded, ...] = ()
    """The items as each model of a cross-conformal calibration embeds them."""

    def asked(self, rows: IntArray) -> FloatArray | Embedded:
        """(m,) rows of test items -> them as `index.query` takes them."""
        vectors = self.embeddings[rows]
        if self.space is None and not self.folds:
            return vectors
        space = None if self.space is None else self.space[rows]
        return Embedded(vectors, space=space, folds=tuple(fold.rows(rows) for fold in self.folds))


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
    resampled: Literal["images", "groups", "classes"] = "images"
    note: str = ""
    """How it was computed, or why it could not be."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """Plain JSON: a confusion matrix, an exact range."""
    better: Literal["higher", "lower"] | None = None
    """Which way is better; `None` where neither is (a threshold, a share that a promise bounds)."""
    chance: float | None = None
    """What one and the same embedding for everything scores at best; `None` where no such number exists."""
    replicates: tuple[float, ...] = ()
    """The bootstrap values behind the interval: same seed, same resamples, so two views' can be subtracted."""


class Evaluator(Protocol):
    """Measures one view. The same seed draws the same questions, whatever the view."""

    def evaluate(self, view: View) -> Sequence[Figure]:
        """Every figure of this evaluator, measurable or not."""


def figure_text(figure: Mapping[str, Any]) -> str:
    """A figure as JSON has it: `0.931 [0.902, 0.957]`, or `none` where it could not be measured."""
    if figure["value"] is None:
        return "none"
    interval = "" if figure["low"] is None else f" [{figure['low']:.3f}, {figure['high']:.3f}]"
    return f"{figure['value']:.3f}{interval}"


def resampled_text(figure: Mapping[str, Any]) -> str:
    """What the interval of a figure resamples: `36 images`, `7 classes`; empty where nothing stands behind it."""
    return counted(figure["n"], figure["resampled"]) if figure["n"] else ""


def counted(n: int, what: Literal["images", "groups", "classes", "seeds"]) -> str:
    """`36 images`, `1 image`."""
    one = {"images": "image", "groups": "group", "classes": "class", "seeds": "seed"}
    return f"{n} {one.get(what, what) if n == 1 else what}"


def over_text(details: Mapping[str, Any]) -> str:
    """The intervals over episodes alone and over classes alone, from the details of a few-shot figure."""
    found = []
    for what in ("episodes", "classes"):
        over = details.get(f"over_{what}")  # figures of earlier versions have none over classes
        if over is not None:
            few = over["low"] is None
            bounds = ", too few for an interval" if few else f" [{over['low']:.3f}, {over['high']:.3f}]"
            found.append(f"over {over[what]} {what} alone{bounds}")
    return "; ".join(found)


def expected_text(details: Mapping[str, Any]) -> str:
    """What alpha allows of a share of flags, from the details of its figure."""
    if not details.get("exact", True):  # figures of earlier versions all are
        return f"expected at most {details['expected']:.3f} on average over draws"
    within = f"within {details['low']:.3f} to {details['high']:.3f}"
    return f"expected {details['expected']:.3f}, {within} for {details['m']} images at this alpha"
