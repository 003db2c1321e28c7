"""A classifier over the known classes: the usual way to train a base that other runs start from."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from nearkin.components.methods.options import ClassifierOptions
from nearkin.contracts import Build, ClassRule, Metric, Structure
from nearkin.errors import DataError
from nearkin.functional import class_scores


class ClassifierMethod(nn.Module):
    """A linear layer and cross-entropy; on demand supervised contrast on the embeddings as well.

    The layer is only for training: images are compared by the angle between their embeddings, as contrast trains it.
    Raises `DataError` where there is to be no layer and the embedding has not one dimension a class.
    """

    metric: Metric = "cosine"
    class_rule: ClassRule = "nearest"

    def __init__(self, options: ClassifierOptions, build: Build) -> None:
        super().__init__()
        assert build.embedding_dim is not None, "a method is built after its backbone"
        self.options = options
        self.dropout = nn.Dropout(options.dropout)
        if not options.layer and build.embedding_dim != len(build.classes):
            raise DataError(
                f"method.layer: false takes the embedding for the scores of {len(build.classes)} classes, and it has "
                f"{build.embedding_dim} dimensions. Set backbone.embedding_dim to {len(build.classes)}."
            )
        self.layer = nn.Linear(build.embedding_dim, len(build.classes)) if options.layer else nn.Identity()
        self.contrast = sup_con(options.temperature) if options.contrast else None

    def loss(self, embeddings: Tensor, labels: Tensor, structure: Structure) -> Tensor:
        """(b, d), (b,) class codes -> cross-entropy plus `contrast` times SupCon (Khosla et al. 2020, eq. 2)."""
        logits = self.layer(self.dropout(embeddings))
        loss = F.cross_entropy(logits, labels, label_smoothing=self.options.label_smoothing)
        return loss if self.contrast is None else loss + self.options.contrast * self.contrast(embeddings, labels)

    def transform(self, embeddings: Tensor) -> Tensor:
        """(n, d) -> (n, d) of unit length."""
        return F.normalize(embeddings, dim=1)

    def compare(self, queries: Tensor, support: Tensor, support_labels: Tensor) -> Tensor:
        """(q, d), (s, d) transformed, (s,) codes -> (q, c), higher is closer."""
        return class_scores(queries, support, support_labels, metric=self.metric, rule=self.class_rule)


def sup_con(temperature: float) -> nn.Module:
    """pytorch-metric-learning's SupConLoss."""
    from pytorch_metric_learning.losses import SupConLoss

    loss: nn.Module = SupConLoss(temperature=temperature)
    return loss
