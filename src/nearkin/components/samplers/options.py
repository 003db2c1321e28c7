"""What the built-in samplers may be told."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from nearkin.contracts import Options


class BalancedPairsOptions(Options):
    """Options of balanced_pairs."""

    pairs: Annotated[int, Field(ge=2, le=100_000, multiple_of=2)] = 30
    """Pairs a batch: half of one class, half of two. An even number."""
