"""The section `unknown`: the outlier score, and how it is calibrated."""

from __future__ import annotations

from typing import Any

from nearkin.contracts import Build, ScoreChoice
from nearkin.recipe.components import choose
from nearkin.recipe.data_options import DataOptions
from nearkin.recipe.model import IndexOptions, Selection
from nearkin.recipe.plain_words import describe, unknown_key
from nearkin.recipe.problems import Problems
from nearkin.recipe.unknown_options import UnknownOptions
from nearkin.registry import Registries

DEFAULT_SCORE = {"type": "knn"}
APPROXIMATE = ("hnsw", "ivf")


def read_score(
    section: Any, index: IndexOptions | None, registries: Registries, problems: Problems
) -> tuple[Selection | None, IndexOptions | None]:
    """The score, and the index's options without the k that said it in the first recipes."""
    said = section.get("score") if isinstance(section, dict) else None
    if index is None or index.k is None:
        path = ("unknown", "score") if said is not None else ("unknown",)
        chosen = choose("score", DEFAULT_SCORE if said is None else said, path, registries, problems)
        return chosen.selection if chosen else None, index
    if said is not None:
        problems.add(("index", "k"), "unknown.score says it already. Delete this key.", at_key=True)
    chosen = choose("score", {**DEFAULT_SCORE, "k": index.k}, ("index", "k"), registries, problems)
    return chosen.selection if chosen else None, index.model_copy(update={"k": None})


def check_way(
    unknown: UnknownOptions, score: Selection, engine: Selection, data: DataOptions, registries: Registries,
    problems: Problems,
) -> None:  # fmt: skip
    """The way of calibrating goes with the score, the engine, and the images that there are."""
    if unknown.folds is not None and unknown.way != "cross_conformal":
        problems.add(("unknown", "folds"), "is for way: cross_conformal. Delete this key.", at_key=True)
    if unknown.way == "cross_conformal" and data.calibrate:
        problems.add(
            ("unknown", "way"),
            "'cross_conformal' calibrates on the training images, and images kept apart would lie idle. "
            "Set data.calibrate: 0 (and data.shots higher, if you like).",
        )
    if unknown.way == "cross_conformal" and data.fold:
        problems.add(("data", "fold"), "is what cross_conformal writes for its own trainings. Delete this key.")
    if data.fold and data.calibrate:
        problems.add(("data", "fold"), "calibrates on a fold of train: set data.calibrate: 0.")
    if unknown.way != "leave_one_group_out":
        return
    chosen = ScoreChoice(score.type, score.options, registries.score.get(score.type).factory)
    if chosen.make(Build(seed=0, metric="l2")).nearest is None:
        problems.add(
            ("unknown", "way"),
            f"'leave_one_group_out' is exact for the score knn; of {score.type} it is unproven that it only shrinks as "
            "references join. Use held_out.",
        )
    own_space = unknown.space.type != "embedding"
    if own_space and getattr(unknown.space, "standardize", True):
        problems.add(
            ("unknown", "way"),
            "'leave_one_group_out' is not exact in a space that is standardised on the references: leave out space, "
            "set standardize: false (type: features), or take way held_out.",
        )
    if engine.type in APPROXIMATE and not own_space:
        problems.add(("unknown", "way"), f"'leave_one_group_out' needs an exact engine, and {engine.type} is none.")
    if not data.calibrate:
        problems.add(("unknown", "way"), "'leave_one_group_out' needs data.calibrate: images that train nothing.")


def other_options(section: Any, problems: Problems) -> dict[str, Any]:
    """The section less its score; a key that there is not is a problem."""
    if not isinstance(section, dict):
        problems.add(("unknown",), f"wants a section (key: value), not {describe(section)}.")
        return {}
    keys = ("score", *UnknownOptions.model_fields)
    for key in section:
        if key not in keys:
            problems.add(("unknown", key), unknown_key(key, keys), at_key=True)
    return {key: section[key] for key in keys[1:] if key in section}
