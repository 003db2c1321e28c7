"""The section `unknown`: the outlier score, and how it is calibrated."""

from __future__ import annotations

from typing import Any

from nearkin.recipe.components import choose
from nearkin.recipe.model import IndexOptions, Selection, UnknownOptions
from nearkin.recipe.plain_words import describe, unknown_key
from nearkin.recipe.problems import Problems
from nearkin.registry import Registries

DEFAULT_SCORE = {"type": "knn"}


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
