"""The matching method: a query is named by its attention over the labelled support.

Vinyals, Blundell, Lillicrap, Kavukcuoglu, Wierstra: Matching Networks for One Shot Learning (NeurIPS 2016).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nearkin.contracts import Build, ClassRule, Episode, Metric, Structure
from nearkin.functional import class_scores, episode_parts, pairwise_distances
from nearkin_matching import MatchingOptions
from nearkin_matching.context import FullContext


class Matching(nn.Module):
    """P(y | x, S) = sum_i a(x, x_i) y_i with a softmax over cosines (eq. 1 and section 2.1.1)."""

    metric: Metric = "cosine"
    class_rule: ClassRule = "attention"

    def __init__(self, options: MatchingOptions, build: Build) -> None:
        super().__init__()
        self.options = options
        self.context = FullContext(build.embedding_dim or 0, options.steps or 5) if options.full_context else None
        self.no_index = "matching with full_context embeds an image anew for each support." if self.context else ""

    def transform(self, embeddings: Tensor) -> Tensor:
        """(n, d) -> the same: f' and g', before any context."""
        return embeddings

    def loss(self, embeddings: Tensor, labels: Tensor, structure: Structure) -> Tensor:
        """Mean of -log P(y | x, S) over the queries (eq. 2): (b, d), (b,), Episode -> scalar."""
        if not isinstance(structure, Episode):
            raise TypeError("matching learns from episodes: use a sampler that yields them, for instance episodes")
        support, codes, queries, targets = episode_parts(embeddings, labels, structure)
        loss = self._loss(queries, targets, support, codes)
        if not self.options.symmetric:
            return loss
        return (loss + self._loss(support, codes, queries, targets)) / 2

    def _loss(self, queries: Tensor, targets: Tensor, support: Tensor, codes: Tensor) -> Tensor:
        queries, support = self._in_context(queries, support)
        logits = self.options.scale * (1 - pairwise_distances(queries, support, "cosine"))
        # As a difference of log-sums: a share that rounds to zero would have no gradient.
        own = logits.masked_fill(targets[:, None] != codes[None], -torch.inf)
        return (logits.logsumexp(dim=1) - own.logsumexp(dim=1)).mean()

    def compare(self, queries: Tensor, support: Tensor, support_labels: Tensor) -> Tensor:
        """P(y | x, S) as the paper has it, whatever `scale`: (q, d), (s, d), (s,) codes -> (q, c)."""
        queries, support = self._in_context(queries, support)
        return class_scores(queries, support, support_labels, metric=self.metric, rule=self.class_rule)

    def _in_context(self, queries: Tensor, support: Tensor) -> tuple[Tensor, Tensor]:
        return (queries, support) if self.context is None else self.context(queries, support)
