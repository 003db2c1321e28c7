"""The prototypical method: a class is the mean of its support, a query belongs to the nearest mean.

Snell, Swersky, Zemel: Prototypical Networks for Few-shot Learning (NeurIPS 2017). Embeddings are taken as the
backbone makes them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nearkin.contracts import ClassRule, Episode, Metric, Structure
from nearkin.functional import class_counts, class_means, episode_parts, pairwise_distances
from nearkin_prototypical import PrototypicalOptions


class Prototypical(nn.Module):
    """Softmax over distances to prototypes."""

    def __init__(self, options: PrototypicalOptions) -> None:
        super().__init__()
        self.options = options
        self.metric: Metric = "cosine" if options.distance == "cosine" else "l2"
        self.class_rule: ClassRule = "nearest" if options.neighbors else "prototype"
        several = options.neighbors is not None and options.neighbors > 1
        self.no_index = "prototypical with several neighbors names a class as no index does." if several else ""

    def transform(self, embeddings: Tensor) -> Tensor:
        """(n, d) -> the same."""
        return embeddings

    def loss(self, embeddings: Tensor, labels: Tensor, structure: Structure) -> Tensor:
        """Mean of -log p(y = k | x) over the queries (eq. 2 and algorithm 1): (b, d), (b,), Episode -> scalar."""
        if not isinstance(structure, Episode):
            raise TypeError("prototypical learns from episodes: use a sampler that yields them, for instance episodes")
        support, codes, queries, targets = episode_parts(embeddings, labels, structure)
        loss = F.cross_entropy(self.compare(queries, support, codes), targets)
        if not self.options.symmetric:
            return loss
        return (loss + F.cross_entropy(self.compare(support, queries, targets), codes)) / 2

    def compare(self, queries: Tensor, support: Tensor, support_labels: Tensor) -> Tensor:
        """Minus the scaled distance of each query to each class: (q, d), (s, d), (s,) codes -> (q, c) logits."""
        if self.options.neighbors is None:
            distances = self._distances(queries, class_means(support, support_labels))  # eq. 1
        else:
            distances = self._to_nearest(queries, support, support_labels, self.options.neighbors)
        return -self.options.scale * distances

    def _distances(self, queries: Tensor, others: Tensor) -> Tensor:
        """(q, d), (m, d) -> (q, m)."""
        if self.options.distance == "cosine":
            return pairwise_distances(queries, others, "cosine")
        # Multiplied out, so that the work is one matrix product: (q, m, d) differences cost a tenth of a training step.
        # About their middle, as what all have in common would leave float32 no digits for what tells them apart.
        middle = others.detach().mean(dim=0)
        queries, others = queries - middle, others - middle
        lengths = queries.square().sum(dim=1)[:, None] + others.square().sum(dim=1)
        return (lengths - 2 * queries @ others.T).clamp(min=0)

    def _to_nearest(self, queries: Tensor, support: Tensor, labels: Tensor, k: int) -> Tensor:
        """Mean distance to the k nearest support images of each class, or to all where it has fewer: -> (q, c)."""
        distances = self._distances(queries, support)
        per_class = [distances[:, labels == code] for code in range(len(class_counts(labels)))]
        return torch.stack([d.topk(min(k, d.shape[1]), largest=False).values.mean(dim=1) for d in per_class], dim=1)
