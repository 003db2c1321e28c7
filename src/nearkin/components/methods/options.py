"""What the built-in methods may be told."""

from __future__ import annotations

from nearkin.contracts import ComparisonOptions


class EmbeddingOptions(ComparisonOptions):
    """Options of embedding."""
