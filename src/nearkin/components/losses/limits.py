"""Combinations of options that cannot be meant: refused when a recipe is read, before the library meets them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def _margins(options: Any) -> None:
    """Distances fall with likeness, similarities rise: the defaults are for distances."""
    near, far = options.pos_margin, options.neg_margin
    if options.distance.type in ("cosine", "dot_product") and near <= far:
        raise ValueError(
            f"with the similarity {options.distance.type!r} the same class must be above pos_margin and different ones "
            f"below neg_margin, but pos_margin is {near:g} and neg_margin {far:g}. Try pos_margin 1, neg_margin 0"
        )


def _boundary(options: Any) -> None:
    if options.beta_per_class and not options.learn_beta:
        raise ValueError("beta_per_class needs learn_beta: boundaries that are not learned are all alike")
    if not options.learn_beta:
        _idle(options, "nu", "weighs a penalty on learned boundaries: give learn_beta")
    _drawn_triplets(options)


def _drawn_triplets(options: Any) -> None:
    """The library draws triplets only where nobody else has chosen them: a miner, a memory, or the sampler."""
    if key := options.mining_key():
        _idle(options, DRAWN, f"draws triplets from a batch, and {key} chooses them: delete {key}")


def _variant(options: Any) -> None:
    for key, variant in (("b", "Ib"), ("alpha", "Dq")):
        if options.variant != variant:
            _idle(options, key, f"is of the variant {variant}, and this is {options.variant}: give variant: {variant}")


def _penalties(options: Any) -> None:
    for key in ("embedding", "weight"):
        if getattr(options, f"{key}_regularizer", None) is None:
            _idle(options, f"{key}_reg_weight", f"weighs a penalty that there is not: give {key}_regularizer")


def _norm(options: Any) -> None:
    if not getattr(options, "normalize_embeddings", True):
        _idle(options, "p", "is the norm by which embeddings are normalised: give normalize_embeddings: true")


def _hard(options: Any) -> None:
    if options.type_of_triplets == "hard" and options.margin > 0:
        _idle(options, "margin", "leaves hard triplets as they are, which are those beyond 0: give another type")


def _idle(options: Any, key: str, reason: str) -> None:
    """Refuse an option that does nothing here."""
    if was_given(options, key):
        raise ValueError(f"{key} {reason}, or delete {key}")


def was_given(options: Any, key: str) -> bool:
    """Whether there is such an option and it is not its default, which a run writes into its recipe: no wish."""
    field = type(options).model_fields.get(key)
    return field is not None and getattr(options, key) != field.default


def _several_centers(key: str) -> Callable[[Any], None]:
    def check(options: Any) -> None:
        regularizer = options.weight_regularizer
        if regularizer and regularizer.type == "sparse_centers" and getattr(options, key) < 2:
            raise ValueError(f"sparse_centers merges the centres of a class: {key} must be at least 2")

    return check


def _bounds(options: Any) -> None:
    if options.low is None and options.high is None:
        raise ValueError("give low, high, or both")
    if options.low is not None and options.high is not None and options.low >= options.high:
        raise ValueError(f"low {options.low:g} must be below high {options.high:g}")


def _strategies(options: Any) -> None:
    chosen = {options.pos_strategy, options.neg_strategy}
    if chosen in ({"semihard"}, {"semihard", "all"}):
        raise ValueError("semihard is relative to one choice of the other kind: pair it with hard or easy")
    _ranges(options)


def _ranges(options: Any) -> None:
    for key in ("allowed_pos_range", "allowed_neg_range"):
        allowed = getattr(options, key)
        if allowed is not None and allowed[0] >= allowed[1]:
            raise ValueError(f"{key} goes from {allowed[0]:g} to {allowed[1]:g}: write [from, to], from below to")


def _weights(options: Any) -> None:
    if not any(options.weights.values()):
        raise ValueError("weights: at least one class must count")


DRAWN = "triplets_per_anchor"
LIMITS: Mapping[tuple[str, str], Callable[[Any], None]] = {
    ("loss", "contrastive"): _margins,
    ("loss", "lifted_structure"): _margins,
    ("loss", "generalized_lifted_structure"): _margins,
    ("loss", "signal_to_noise_ratio_contrastive"): _margins,
    ("loss", "margin"): _boundary,
    ("loss", "triplet_margin"): _drawn_triplets,
    ("loss", "pnp"): _variant,
    ("loss", "soft_triple"): _several_centers("centers_per_class"),
    ("loss", "subcenter_arcface"): _several_centers("sub_centers"),
    ("distance", "dot_product"): _norm,
    ("distance", "snr"): _norm,
    ("reducer", "threshold"): _bounds,
    ("reducer", "class_weighted"): _weights,
    ("miner", "batch_easy_hard"): _strategies,
    ("miner", "batch_hard"): _ranges,
    ("miner", "triplet_margin"): _hard,
}
"""(kind, recipe name) -> a check of its options."""


def check_options(kind: str, name: str, options: Any) -> None:
    """`ValueError` for what cannot be meant of a loss, or of a part."""
    if kind == "loss":
        _penalties(options)
    if check := LIMITS.get((kind, name)):
        check(options)
