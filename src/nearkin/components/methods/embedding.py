"""Plain deep metric learning: a registered loss on the embeddings, nearest reference at the end."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F

from nearkin.components.methods.options import EmbeddingOptions
from nearkin.contracts import Active, Build, ClassRule, Loss, Metric, Normalize, Structure
from nearkin.functional import class_scores


class EmbeddingMethod(nn.Module):
    """Hands embeddings to the recipe's loss; compares them by nearest reference under `metric`."""

    class_rule: ClassRule = "nearest"

    def __init__(self, options: EmbeddingOptions, build: Build) -> None:
        super().__init__()
        self.metric: Metric = options.metric or "l2"
        self.normalize: Normalize = True if options.normalize is None else options.normalize
        # A loss that is a module becomes a child here, so that its weights are optimised and saved with the model.
        self.criterion = build.loss

    def loss(self, embeddings: Tensor, labels: Tensor, structure: Structure) -> Tensor:
        """(b, d) raw embeddings, (b,) class codes, positions -> scalar."""
        return cast(Loss, self.criterion)(embeddings, labels, indices_tuple=structure)

    def activity(self) -> float | None:
        """As the loss says."""
        return self.criterion.activity() if isinstance(self.criterion, Active) else None

    def transform(self, embeddings: Tensor) -> Tensor:
        """(n, d) -> (n, d), of unit length where the options say so."""
        if not self.normalize:
            return embeddings
        return F.normalize(embeddings, p=1.0 if self.normalize == "l1" else 2.0, dim=1)

    def compare(self, queries: Tensor, support: Tensor, support_labels: Tensor) -> Tensor:
        """(q, d), (s, d) transformed, (s,) codes -> (q, c), higher is closer."""
        return class_scores(queries, support, support_labels, metric=self.metric, rule=self.class_rule)
