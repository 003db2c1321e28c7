"""The losses in our words: names, papers, and what their arguments mean and may be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from nearkin.components.losses.entries import Note

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Degrees = Annotated[float, Field(gt=0, lt=90)]

PER_ANCHOR: tuple[Any, str] = (
    Literal["all"] | Count,
    "Triplets an anchor where a batch is labels alone: all there are, or so many at random.",
)
POS_MARGIN = (float, "Same-class pairs nearer than this cost nothing; with a similarity, those above it.")
NEG_MARGIN = (float, "Different-class pairs farther than this cost nothing; with a similarity, those below it.")
TEMPERATURE = (Positive, "Similarities are divided by it: the lower, the more the hardest pairs count.")
SCALE = (Positive, "Logits are multiplied by it: the inverse of a temperature.")
PENALTY = (Degrees, "Added to the angle to the right class, in degrees.")
PULL_MARGINS = {"pos_margin": POS_MARGIN, "neg_margin": NEG_MARGIN}

RENAMED = {"num_classes": "beta_per_class"}
"""Argument that the surroundings decide, where it may be left out -> the option that says whether it is."""
EVERY_LOSS: Mapping[str, tuple[Any, str]] = {
    "embedding_reg_weight": (NonNegative, "The weight of embedding_regularizer."),
    "weight_reg_weight": (NonNegative, "The weight of weight_regularizer."),
}
SIMILARITY_OF_ITS_OWN = {"p2s_grad": "cosine"}
"""Losses that compare by this distance, whatever distance they are given."""

NOTES: Mapping[str, Note] = {
    "angular": Note(
        "AngularLoss",
        "Angular loss: the angle at the negative stays small (Wang et al. 2017).",
        {"alpha": (Degrees, "The upper bound on that angle, in degrees.")},
    ),
    "arcface": Note(
        "ArcFaceLoss",
        "ArcFace: softmax over a learned direction a class, with a margin added to the angle (Deng et al. 2019).",
        {"margin": PENALTY, "scale": SCALE},
    ),
    "circle": Note(
        "CircleLoss",
        "Circle loss: pairs weighted by how far they are from their optimum (Sun et al. 2020).",
        {"m": (Share, "The relaxation of the decision boundary."), "gamma": (Positive, "The scale of similarities.")},
    ),
    "contrastive": Note(
        "ContrastiveLoss", "Contrastive loss: a margin for each kind of pair (Hadsell et al. 2006).", PULL_MARGINS
    ),
    "cosface": Note(
        "CosFaceLoss",
        "CosFace: softmax over a learned direction a class, with a margin off the cosine (Wang et al. 2018).",
        {"margin": (NonNegative, "Taken off the cosine to the right class."), "scale": SCALE},
    ),
    "dynamic_soft_margin": Note(
        "DynamicSoftMarginLoss",
        "Triplets weighted by how hard they are among those seen so far (Zhang & Rusinkiewicz 2019).",
        {
            "min_val": (Annotated[float, Field(le=-2)], "The least difference of distances that the histogram holds."),
            "num_bins": (Count, "Bins of the histogram."),
            "momentum": (Share, "The share of the present batch in the running histogram."),
        },
    ),
    "fast_ap": Note(
        "FastAPLoss",
        "FastAP: average precision by histogram binning (Cakir et al. 2019).",
        {"num_bins": (Count, "Bins of the distance histogram.")},
    ),
    "generalized_lifted_structure": Note(
        "GeneralizedLiftedStructureLoss",
        "Lifted structure over all positives and all negatives of an anchor (Hermans et al. 2017).",
        PULL_MARGINS,
    ),
    "histogram": Note(
        "HistogramLoss",
        "Histogram loss: the overlap of the two similarity distributions (Ustinova & Lempitsky 2016).",
        {"n_bins": (Count | None, "Bins over similarities from -1 to 1. Left out: 100.")},
    ),
    "intra_pair_variance": Note(
        "IntraPairVarianceLoss",
        "Pulls each kind of pair towards its own mean similarity: an addition to another aim (Yu & Tao 2019).",
        {
            "pos_eps": (NonNegative, "Same-class pairs this share off their mean cost nothing."),
            "neg_eps": (NonNegative, "Different-class pairs this share off their mean cost nothing."),
        },
    ),
    "large_margin_softmax": Note(
        "LargeMarginSoftmaxLoss",
        "Softmax over a learned direction a class, with the angle to the right one multiplied (Liu et al. 2016).",
        {"margin": (Count, "What the angle is multiplied by."), "scale": SCALE},
    ),
    "lifted_structure": Note(
        "LiftedStructureLoss",
        "Lifted structure: each positive pair against all negatives of its two ends (Oh Song et al. 2016).",
        PULL_MARGINS,
    ),
    "margin": Note(
        "MarginLoss",
        "Margin loss: a boundary between same and different that can be learned (Wu et al. 2017).",
        {
            "margin": (NonNegative, "How far inside the boundary a pair must be."),
            "nu": (NonNegative, "Weight of the penalty on learned boundaries."),
            "beta": (float, "The boundary, or where it starts."),
            "triplets_per_anchor": PER_ANCHOR,
            "learn_beta": (bool, "Whether the boundary is learned."),
            "num_classes": (bool, "Whether each class learns a boundary of its own. Needs learn_beta."),
        },
    ),
    "multi_similarity": Note(
        "MultiSimilarityLoss",
        "Multi-similarity loss: pairs weighted by all similarities of their anchor (Wang et al. 2019).",
        {
            "alpha": (Positive, "The weight of same-class pairs."),
            "beta": (Positive, "The weight of different-class pairs."),
            "base": (float, "The similarity that divides near from far."),
        },
    ),
    "n_pairs": Note("NPairsLoss", "N-pairs: one pair a class, each against the others' positives (Sohn 2016)."),
    "nca": Note(
        "NCALoss",
        "Neighbourhood components analysis over the batch (Goldberger et al. 2004).",
        {"softmax_scale": (Positive, "What the negative distances are multiplied by before the softmax.")},
    ),
    "normalized_softmax": Note(
        "NormalizedSoftmaxLoss",
        "Softmax over a learned direction a class (Zhai & Wu 2018).",
        {"temperature": TEMPERATURE},
    ),
    "ntxent": Note(
        "NTXentLoss",
        "NT-Xent, also InfoNCE: each positive pair against its anchor's negatives (Chen et al. 2020).",
        {"temperature": TEMPERATURE},
    ),
    "p2s_grad": Note(
        "P2SGradLoss", "P2SGrad: squared error of cosines to a learned direction a class (Zhang et al. 2019)."
    ),
    "pnp": Note(
        "PNPLoss",
        "PNP: the negatives that rank before the positives (Li et al. 2021).",
        {
            "b": (Positive, "The boundary: how soft the variants Ib and Dq are."),
            "alpha": (Positive, "The power of the variant Dq."),
            "anneal": (Positive, "The temperature of the sigmoid that stands for ranking."),
            "variant": (Literal["Ds", "Dq", "Iu", "Ib", "O"], "How the count of such negatives becomes a cost."),
        },
    ),
    "proxy_anchor": Note(
        "ProxyAnchorLoss",
        "Proxy-Anchor: a learned proxy a class, pulled and pushed by the batch (Kim et al. 2020).",
        {"margin": (NonNegative, "How far inside the boundary an image must be."), "alpha": (Positive, "The scale.")},
    ),
    "proxy_nca": Note(
        "ProxyNCALoss",
        "Proxy-NCA: each image against a learned proxy a class (Movshovitz-Attias et al. 2017).",
        {"softmax_scale": (Positive, "What the negative distances are multiplied by before the softmax.")},
    ),
    "ranked_list": Note(
        "RankedListLoss",
        "Ranked list loss: a sphere a class, negatives weighted by how hard they are (Wang et al. 2019).",
        {
            "margin": (Positive, "Between the sphere of a class and the others."),
            "Tn": (NonNegative, "How much harder negatives count more. A few; 10 in the paper."),
            "imbalance": (Share, "The share of the negatives' part."),
            "alpha": (Positive | None, "The distance negatives must keep. Left out: 1 + margin / 2."),
            "Tp": (NonNegative, "How much harder positives count more."),
        },
    ),
    "signal_to_noise_ratio_contrastive": Note(
        "SignalToNoiseRatioContrastiveLoss",
        "Contrastive loss on the signal-to-noise ratio (Yuan et al. 2019).",
        PULL_MARGINS,
    ),
    "smooth_ap": Note(
        "SmoothAPLoss",
        "Smooth-AP: average precision; a batch needs as many classes as images of each (Brown et al. 2020).",
        {"temperature": (Positive, "Of the sigmoid that stands for ranking.")},
    ),
    "soft_triple": Note(
        "SoftTripleLoss",
        "SoftTriple: softmax over several learned centres a class (Qian et al. 2019).",
        {
            "centers_per_class": (Count, "Centres a class."),
            "la": (Positive, "The scale of logits."),
            "gamma": (Positive, "The temperature among the centres of a class."),
            "margin": (NonNegative, "Taken off the similarity to the right class."),
        },
    ),
    "sphereface": Note(
        "SphereFaceLoss",
        "SphereFace: a multiplied angle, with class directions of unit length (Liu et al. 2017).",
        {"margin": (Count, "What the angle is multiplied by."), "scale": SCALE},
    ),
    "subcenter_arcface": Note(
        "SubCenterArcFaceLoss",
        "ArcFace with several learned directions a class, for noisy labels (Deng et al. 2020).",
        {"margin": PENALTY, "scale": SCALE, "sub_centers": (Count, "Directions a class.")},
    ),
    "supcon": Note(
        "SupConLoss",
        "Supervised contrastive loss: all positives of an anchor at once (Khosla et al. 2020).",
        {"temperature": TEMPERATURE},
    ),
    "threshold_consistent_margin": Note(
        "ThresholdConsistentMarginLoss",
        "One threshold for all classes: an addition to another aim (Zhang et al. 2024).",
        {
            "lambda_plus": (NonNegative, "The weight of same-class pairs."),
            "lambda_minus": (NonNegative, "The weight of different-class pairs."),
            "margin_plus": (float, "Same-class pairs more similar than this cost nothing."),
            "margin_minus": (float, "Different-class pairs less similar than this cost nothing."),
        },
    ),
    "triplet_margin": Note(
        "TripletMarginLoss",
        "Triplet margin loss (Schroff et al. 2015).",
        {
            "margin": (Positive, "How much farther than the positive the negative must be."),
            "swap": (bool, "Whether the positive takes the anchor's part where it is nearer to the negative."),
            "smooth_loss": (bool, "Softplus instead of a hinge."),
            "triplets_per_anchor": PER_ANCHOR,
        },
    ),
    "tuplet_margin": Note(
        "TupletMarginLoss",
        "Tuplet margin loss: each positive pair against all negatives of its anchor (Yu & Tao 2019).",
        {"margin": (Degrees, "The slack of the positive's angle, in degrees."), "scale": SCALE},
    ),
}
