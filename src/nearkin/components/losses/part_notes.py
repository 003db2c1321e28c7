"""Distances, reducers, regularizers and miners in our words, and what of the library is left out, with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from nearkin.components.losses.entries import Note, PartKind
from nearkin.components.losses.notes import Count, Degrees, NonNegative, Positive

POWER = (Positive, "What the distance is raised to.")
COSINE_POWER = (Count, "What the similarity is raised to.")
UNIT = (bool, "Whether embeddings are brought to unit length first, by the norm p.")
NORM = (Positive, "Of the norm that brings embeddings to unit length.")
Strategy = Literal["hard", "semihard", "easy", "all"]
Range = tuple[float, float] | None
MARGINS = {
    "pos_margin": (float, "Same-class pairs farther than this are kept; with a similarity, those below it."),
    "neg_margin": (float, "Different-class pairs nearer than this are kept; with a similarity, those above it."),
}

DISTANCES: Mapping[str, Note] = {
    "cosine": Note("CosineSimilarity", "Cosine similarity: higher is closer.", {"power": COSINE_POWER}),
    "dot_product": Note(
        "DotProductSimilarity",
        "Dot product: higher is closer. The cosine, unless normalize_embeddings is false.",
        {"normalize_embeddings": UNIT, "p": NORM, "power": COSINE_POWER},
    ),
    "lp": Note(
        "LpDistance",
        "Lp distance: Euclidean with p 2, city-block with p 1.",
        {"normalize_embeddings": UNIT, "p": (Positive, "Of the distance, and of the norm."), "power": POWER},
    ),
    "snr": Note(
        "SNRDistance",
        "Signal-to-noise ratio: variance of the difference over variance of the anchor (Yuan et al. 2019).",
        {"normalize_embeddings": UNIT, "p": NORM, "power": POWER},
    ),
}

REDUCERS: Mapping[str, Note] = {
    "avg_non_zero": Note(
        "AvgNonZeroReducer",
        "The mean of those above zero.",
        {"high": (Positive | None, "Those above this are left out too.")},
    ),
    "class_weighted": Note(
        "ClassWeightedReducer",
        "The mean, weighted by the class of the anchor.",
        {"weights": (dict[str, NonNegative], "A weight for each known class, by its label.")},
    ),
    "divisor": Note("DivisorReducer", "The sum over what the loss itself says it should be divided by."),
    "mean": Note("MeanReducer", "The mean of all."),
    "per_anchor": Note("PerAnchorReducer", "The mean over each anchor's pairs, and then another reducer over anchors."),
    "sum": Note("SumReducer", "The sum of all."),
    "threshold": Note(
        "ThresholdReducer",
        "The mean of those between two bounds.",
        {"low": (float | None, "Those above this count."), "high": (float | None, "Those below this count.")},
    ),
}

REGULARIZERS: Mapping[str, Note] = {
    "center_invariant": Note(
        "CenterInvariantRegularizer", "All rows of the same length (Wu et al. 2017, center invariant loss)."
    ),
    "lp": Note(
        "LpRegularizer",
        "Short rows.",
        {"p": (Positive, "Of the norm."), "power": (Positive, "What the norm is raised to.")},
    ),
    "regular_face": Note("RegularFaceRegularizer", "Rows far from their nearest other row (Zhao et al. 2019)."),
    "sparse_centers": Note("SparseCentersRegularizer", "Centres of one class that merge (Qian et al. 2019)."),
    "zero_mean": Note("ZeroMeanRegularizer", "Rows whose entries sum to zero."),
}

MINERS: Mapping[str, Note] = {
    "angular": Note(
        "AngularMiner",
        "Triplets whose angle at the negative is above a threshold (Wang et al. 2017).",
        {"angle": (Degrees, "The threshold, in degrees.")},
    ),
    "batch_easy_hard": Note(
        "BatchEasyHardMiner",
        "For each anchor its hardest, semi-hard or easiest positive and negative (Xuan et al. 2020).",
        {
            "pos_strategy": (Strategy, "Which positives."),
            "neg_strategy": (Strategy, "Which negatives."),
            "allowed_pos_range": (Range, "Positives outside [from, to] are passed over."),
            "allowed_neg_range": (Range, "Negatives outside [from, to] are passed over."),
        },
    ),
    "batch_hard": Note(
        "BatchHardMiner",
        "For each anchor its farthest positive and nearest negative (Hermans et al. 2017).",
        {
            "allowed_pos_range": (Range, "Positives outside [from, to] are passed over."),
            "allowed_neg_range": (Range, "Negatives outside [from, to] are passed over."),
        },
    ),
    "distance_weighted": Note(
        "DistanceWeightedMiner",
        "Negatives at all distances equally often (Wu et al. 2017).",
        {
            "cutoff": (Positive, "Nearer ones are taken to be this far."),
            "nonzero_loss_cutoff": (Positive, "Farther ones are passed over."),
        },
    ),
    "hdc": Note(
        "HDCMiner",
        "The hardest share of all pairs (Yuan et al. 2017).",
        {"filter_percentage": (Annotated[float, Field(gt=0, le=1)], "That share.")},
    ),
    "multi_similarity": Note(
        "MultiSimilarityMiner",
        "Pairs harder than the easiest, or nearly so, of the other kind at their anchor (Wang et al. 2019).",
        {"epsilon": (NonNegative, "How nearly.")},
    ),
    "pair_margin": Note("PairMarginMiner", "Pairs that violate a margin.", MARGINS),
    "triplet_margin": Note(
        "TripletMarginMiner",
        "Triplets that violate a margin: all, or the hard or semi-hard ones of them (Schroff et al. 2015).",
        {
            "margin": (float, "How much farther than the positive the negative must be to be passed over."),
            "type_of_triplets": (
                Literal["all", "hard", "semihard", "easy"],
                "hard: the negative is nearer than the positive; semihard: it is not; easy: those that do not violate.",
            ),
        },
    ),
    "uniform_histogram": Note(
        "UniformHistogramMiner",
        "Pairs at all distances equally often, by bins.",
        {
            "num_bins": (Count, "Bins between the least and the greatest distance."),
            "pos_per_bin": (Count, "Same-class pairs drawn from each bin."),
            "neg_per_bin": (Count, "Different-class pairs drawn from each bin."),
        },
    ),
}

PARTS: Mapping[PartKind, Mapping[str, Note]] = {
    "distance": DISTANCES,
    "reducer": REDUCERS,
    "regularizer": REGULARIZERS,
    "miner": MINERS,
}
