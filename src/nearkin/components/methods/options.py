"""What the built-in methods may be told."""

from __future__ import annotations

from nearkin.contracts import Metric, Options


class EmbeddingOptions(Options):
    """Options of embedding."""

    metric: Metric = "l2"
    """How the index compares; name the distance that the loss trains."""
    normalize: bool = True
    """Whether embeddings are brought to unit length, as pytorch-metric-learning's distances do by default."""
