"""The bases that runs of few shots start from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from xray_figures.keeping import CLASSES, Kept, kept


@dataclass(frozen=True)
class Base:
    """A kind of base: its recipe, and what it changes of it."""

    name: str
    recipe: str
    changes: Mapping[str, object] = field(default_factory=dict)
    another: int = 0
    """Added to the seed of first weights and batches, where two bases of one split should differ in them."""


TUNED = Base("base", "cxr3-base")
TUNED_224 = Base("base-224", "cxr3-base", {"backbone.image_size": 224}, another=1)
LINEAR = Base("linear", "cxr3-linear")
LINEAR_LITE2 = Base(
    "linear-lite2",
    "cxr3-linear",
    {"backbone.type": "efficientnet_lite2", "backbone.image_size": 240, "backbone.blocks": 18},
)


def base(seed: int, left_out: str | None = None, *, kind: Base = TUNED) -> Kept:
    """A base of its own split and weights, of all classes or without one."""
    settings = {
        **kind.changes,
        "seed": seed + kind.another,
        "data.held_out_seed": seed,
        "data.known": list(without(left_out)),
    }
    name = f"{kind.name}-{seed}"
    return kept(name if left_out is None else f"{name}-without-{left_out}", kind.recipe, settings)


def without(left_out: str | None) -> tuple[str, ...]:
    """The other classes."""
    return tuple(label for label in sorted(CLASSES) if label != left_out)
