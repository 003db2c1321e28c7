"""What of pytorch-metric-learning is not offered, each with its reason. Whatever is in no table is in here."""

from __future__ import annotations

from collections.abc import Mapping

_BASE = "a base class"
CLASSES: Mapping[str, str] = {
    "BaseMetricLossFunction": _BASE,
    "BaseLossWrapper": _BASE,
    "GenericPairLoss": _BASE,
    "EmbeddingRegularizerMixin": _BASE,
    "WeightRegularizerMixin": _BASE,
    "BaseDistance": _BASE,
    "BaseReducer": _BASE,
    "BaseRegularizer": _BASE,
    "BaseMiner": _BASE,
    "CrossBatchMemory": "it is the option `memory` of every loss that it works with",
    "MultipleLosses": "a recipe names one loss; a sum of several is a plugin of a few lines",
    "MultipleReducers": "one reducer serves all terms of a loss",
    "DoNothingReducer": "it gives no scalar to learn from",
    "BatchedDistance": "it hands distances to a function, for matrices that do not fit into memory",
    "EmbeddingsAlreadyPackagedAsTriplets": "it takes a batch's order for triplets; here a sampler yields them as such",
    "InstanceLoss": "given labels, it takes a class's number for the position of an image in the batch",
    "ManifoldLoss": "it refuses labels, and learns from random groups that it draws anew at every step",
    "SelfSupervisedLoss": "it needs two views of each image and no labels; batches here hold each image once",
    "VICRegLoss": "it needs two views of each image and no labels; batches here hold each image once",
}
"""Class -> reason."""

ARGUMENTS: Mapping[str, str] = {
    "collect_stats": "it keeps figures that nothing here reads",
    "weight_init_func": "a function; weights start as the library starts them",
    "aggregation_func": "a function; an anchor's pairs are averaged",
    "delta": "histogram's bins said a second time: 2 / n_bins",
    "is_inverted": "each distance knows which way it points",
}
"""Argument of any class -> reason."""

PLACES: Mapping[tuple[str, str], str] = {
    ("cosine", "p"): "with another norm it is no cosine",
    ("proxy_anchor", "class_weighted"): "the library takes a proxy's number for the position of an image in the batch",
    ("regularizer", "class_weighted"): "the library takes a row's number for the position of an image in the batch",
    ("regularizer", "per_anchor"): "rows are no pairs",
    ("embedding_regularizer", "sparse_centers"): "a batch holds images, not the centres of classes",
}
"""(recipe name of a part, argument or part inside it) -> reason."""
