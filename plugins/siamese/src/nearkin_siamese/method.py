"""The Siamese method: shared weights, weighted absolute difference, sigmoid, binary cross-entropy.

Koch, Zemel, Salakhutdinov: Siamese Neural Networks for One-shot Image Recognition (ICML 2015 workshop), section 3.
Their p = sigmoid(sum_j alpha_j |e1_j - e2_j|) leaves the signs free. Here logit = b - sum_j w_j |e1_j - e2_j| with
w_j >= 0, so that the head is a distance: an L1 index over w * e ranks as the head does.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nearkin.contracts import Build, ClassRule, Metric, Structure
from nearkin.functional import class_scores
from nearkin_siamese import SiameseOptions, SigmoidOptions


class Siamese(nn.Module):
    """Tells same from different; compares by the L1 distance that it learned."""

    metric: Metric = "l1"
    class_rule: ClassRule = "nearest"

    def __init__(self, options: SiameseOptions, build: Build) -> None:
        super().__init__()
        dims = build.embedding_dim or 0
        # By default the weights start at 1/d each: the logit is then b minus a mean difference, whatever the size of
        # the embedding, and the sigmoid is not saturated at the first step.
        weight = options.initial_scale / dims
        start = weight + math.log(-math.expm1(-weight))  # softplus undone, which log(expm1(w)) would overflow
        self.raw_weights = nn.Parameter(torch.full((dims,), start), requires_grad=options.weights)
        self.bias = nn.Parameter(torch.tensor(options.initial_bias))
        self.units = SigmoidUnits(dims, options.sigmoid) if options.sigmoid else nn.Identity()

    @property
    def weights(self) -> Tensor:
        """(d,) positive: softplus of what is learned."""
        return F.softplus(self.raw_weights)

    def transform(self, embeddings: Tensor) -> Tensor:
        """(n, d) -> (n, d): through the units, scaled by the weights, so that plain L1 is the learned distance."""
        units: Tensor = self.units(embeddings)
        return units * self.weights

    def logits(self, left: Tensor, right: Tensor) -> Tensor:
        """How surely two are the same: (k, d), (k, d) transformed -> (k,)."""
        return self.bias - (left - right).abs().sum(dim=1)

    def loss(self, embeddings: Tensor, labels: Tensor, structure: Structure) -> Tensor:
        """Binary cross-entropy over the pairs (Koch et al. 2015, eq. 1): (b, d), (b,), Pairs -> scalar."""
        if structure is None or len(structure) != 4:
            raise TypeError("siamese learns from pairs: use a sampler that yields them, for instance balanced_pairs")
        a1, p, a2, n = structure
        scaled = self.transform(embeddings)
        logits = self.bias - l1_of_pairs(scaled, torch.cat([a1, a2]), torch.cat([p, n]))
        targets = torch.cat([logits.new_ones(len(a1)), logits.new_zeros(len(a2))])
        return F.binary_cross_entropy_with_logits(logits, targets)

    def compare(self, queries: Tensor, support: Tensor, support_labels: Tensor) -> Tensor:
        """The logit of each query with each class's nearest support: (q, d), (s, d) transformed, (s,) -> (q, c).

        Ranked by logit: the sigmoid rounds the surest ones to the same 1.0.
        """
        return self.bias + class_scores(queries, support, support_labels, metric=self.metric, rule=self.class_rule)


class SigmoidUnits(nn.Module):
    """(n, d) -> (n, d) in [0, 1]: sigmoid(gain_j * (e_j - threshold_j)), as the paper's last layer ends in sigmoids.

    What is surely there or surely not counts alike, so that images of a class lie closer together. A gain and a
    threshold a dimension in place of the paper's full layer: thirty images are enough to learn them.
    """

    def __init__(self, dims: int, options: SigmoidOptions) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.full((dims,), options.gain))
        self.offset = nn.Parameter(torch.full((dims,), -options.gain * options.threshold))

    def forward(self, embeddings: Tensor) -> Tensor:
        """(n, d) -> (n, d)."""
        return torch.sigmoid(self.gain * embeddings + self.offset)


def l1_of_pairs(points: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """L1 distance of each pair of positions: (b, d), (k,), (k,) -> (k,).

    Where the pairs are a good part of all that could be, all are computed: nothing of k * d numbers is then held.
    """
    if 4 * len(left) < len(points) ** 2:
        return (points[left] - points[right]).abs().sum(dim=1)
    return torch.cdist(points, points, p=1.0)[left, right]
