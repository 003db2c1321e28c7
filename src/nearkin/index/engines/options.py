"""What the built-in engines may be told."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from nearkin.contracts import Options

Share = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[int, Field(ge=1)]


class FlatOptions(Options):
    """Nothing: it looks at every reference."""


class ApproximateOptions(Options):
    """What the approximate ones share."""

    recall: Share = 0.99
    """The share of the truly nearest ten to find, measured on references set aside when it is built."""
    at_least: Positive = 1000
    """References from which it is built. Below, every one is looked at, exactly."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Draws what it learns from, and what its recall is measured on."""


class HnswOptions(ApproximateOptions):
    """Hierarchical navigable small worlds: Malkov & Yashunin 2018."""

    links: Annotated[int, Field(ge=2, le=512)] = 32
    """Neighbours that each reference is linked to; 8 bytes each."""
    build_effort: Positive = 80
    """Candidates looked at for each link (FAISS's efConstruction)."""
    effort: Positive | None = None
    """Candidates kept in a search (FAISS's efSearch); left out: as many as `recall` takes."""


class IvfOptions(ApproximateOptions):
    """Inverted lists: references sorted into lists by k-means, of which a search looks at the nearest few."""

    lists: Positive | None = None
    """Left out: the power of two nearest to twice the root of the number of references."""
    probes: Positive | None = None
    """Lists looked at in a search; left out: as many as `recall` takes."""
    compression: Literal["none", "sq8", "pq"] = "none"
    """A reference's numbers in the engine: 4 bytes each, 1 byte each, or product codes of 1 byte for every four
    numbers. What a compressed search finds is measured again from the store. l1 takes none."""


class AutoOptions(ApproximateOptions):
    """Chosen by the number of references, their dimensions, the metric, and memory."""

    memory_gb: Annotated[float, Field(gt=0)] = 4.0
    """What the engine may take beside the store, in 10^9 bytes."""
