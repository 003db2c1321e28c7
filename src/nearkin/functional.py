"""Tensor helpers that methods share: distances, class means, class scores. Public: plugins may import them.

Shapes: n (items), q (queries), s (support), c (classes), d (dims).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from nearkin.contracts import ClassRule, Episode, Metric

__all__ = ["class_counts", "class_means", "class_scores", "episode_parts", "pairwise_distances"]


def episode_parts(embeddings: Tensor, labels: Tensor, episode: Episode) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(b, d), (b,) codes, positions -> support (s, d), its codes (s,) 0..c-1, queries (q, d), their codes (q,)."""
    support, query = episode
    codes = torch.unique(labels[torch.cat([support, query])], return_inverse=True)[1]
    return embeddings[support], codes[: len(support)], embeddings[query], codes[len(support) :]


def pairwise_distances(queries: Tensor, references: Tensor, metric: Metric) -> Tensor:
    """(q, d), (s, d) -> (q, s). `l2` is not squared; `cosine` is 1 - cos."""
    if metric == "cosine":
        return 1 - F.normalize(queries, dim=1) @ F.normalize(references, dim=1).T
    # The matrix-product shortcut loses the small distances that decide who is nearest.
    mode = "donot_use_mm_for_euclid_dist"
    return torch.cdist(queries, references, p=1.0 if metric == "l1" else 2.0, compute_mode=mode)


def class_counts(labels: Tensor) -> Tensor:
    """How many of each class there are: (n,) codes 0..c-1 -> (c,). `ValueError` where a code does not occur."""
    counts = torch.bincount(labels)
    if not bool(counts.all()):
        raise ValueError(f"no embedding for class codes {torch.nonzero(counts == 0).flatten().tolist()}")
    return counts


def class_means(embeddings: Tensor, labels: Tensor) -> Tensor:
    """Mean embedding of each class: (n, d), (n,) codes 0..c-1 -> (c, d). Every code must occur."""
    counts = class_counts(labels)
    return embeddings.new_zeros(len(counts), embeddings.shape[1]).index_add_(0, labels, embeddings) / counts[:, None]


def class_scores(queries: Tensor, support: Tensor, labels: Tensor, *, metric: Metric, rule: ClassRule) -> Tensor:
    """How close each query is to each class: (q, d), (s, d), (s,) codes 0..c-1 -> (q, c), higher is closer.

    `nearest`: minus the distance to the class's nearest support; `prototype`: to its mean; `attention`: the
    share of a softmax over cosine similarities that falls on the class (Vinyals et al. 2016, eq. 1).
    """
    if rule == "prototype":
        return -pairwise_distances(queries, class_means(support, labels), metric)
    n_classes = int(labels.max()) + 1
    if rule == "attention":
        attention = (1 - pairwise_distances(queries, support, "cosine")).softmax(dim=1)
        return attention.new_zeros(len(queries), n_classes).index_add_(1, labels, attention)
    distances = pairwise_distances(queries, support, metric)
    nearest = distances.new_full((len(queries), n_classes), torch.inf)
    return -nearest.scatter_reduce(1, labels.expand(len(queries), -1), distances, "amin")
