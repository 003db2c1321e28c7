"""The built-in losses: pytorch-metric-learning's, with their arguments as typed options."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from nearkin.contracts import Build, Loss, Options, Register


class ContrastiveOptions(Options):
    """Options of contrastive: euclidean distance between L2-normalised embeddings."""

    pos_margin: Annotated[float, Field(ge=0)] = 0.0
    """Same-class pairs nearer than this cost nothing."""
    neg_margin: Annotated[float, Field(gt=0)] = 1.0
    """Different-class pairs farther than this cost nothing."""


class TripletMarginOptions(Options):
    """Options of triplet_margin: euclidean distance between L2-normalised embeddings."""

    margin: Annotated[float, Field(gt=0)] = 0.05
    """How much farther than the positive the negative must be."""


def register_losses(register: Register) -> None:
    """contrastive and triplet_margin; each finds its pairs or triplets itself where it is given labels alone."""
    register(
        "contrastive",
        make_contrastive,
        options=ContrastiveOptions,
        takes=("labels", "pairs", "triplets"),
        summary="Contrastive loss (Hadsell et al. 2006).",
    )
    register(
        "triplet_margin",
        make_triplet_margin,
        options=TripletMarginOptions,
        takes=("labels", "triplets"),
        summary="Triplet margin loss (Schroff et al. 2015).",
    )


def make_contrastive(options: ContrastiveOptions, build: Build) -> Loss:
    """pytorch-metric-learning's ContrastiveLoss."""
    from pytorch_metric_learning.losses import ContrastiveLoss

    loss: Loss = ContrastiveLoss(pos_margin=options.pos_margin, neg_margin=options.neg_margin)
    return loss


def make_triplet_margin(options: TripletMarginOptions, build: Build) -> Loss:
    """pytorch-metric-learning's TripletMarginLoss."""
    from pytorch_metric_learning.losses import TripletMarginLoss

    loss: Loss = TripletMarginLoss(margin=options.margin)
    return loss
