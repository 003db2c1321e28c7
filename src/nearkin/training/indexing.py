"""The run's index: references from train, calibration from calibrate, and what trained remembered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from nearkin.contracts import Build, Embedded, EngineChoice, ScoreChoice, Way
from nearkin.data import Dataset, ImageStore, Item
from nearkin.embeddings import EmbeddingCache
from nearkin.errors import UsageError, listing
from nearkin.index import Index
from nearkin.index.calibration import groups_needed
from nearkin.index.space import Space
from nearkin.model import Model
from nearkin.plugins import engine_of, score_of
from nearkin.recipe import Recipe
from nearkin.recipe.space import EmbeddingSpace, FeaturesSpace, JoinedSpace, parts_of
from nearkin.registry import Registries


def build_index(
    recipe: Recipe, registries: Registries, dataset: Dataset, store: ImageStore, model: Model, cache: EmbeddingCache
) -> Index:
    """References from train, calibrated on calibrate."""
    index = Index(
        metric=model.method.metric,
        class_rule=model.method.class_rule,
        dim=model.embedding_dim,
        alpha=recipe.index.alpha,
        engine=recipe_engine(recipe, registries),
        score=recipe_score(recipe, registries),
        operating_points=recipe.index.operating_points,
        embed=model.embed,
        trained_digests=model.trained_on,
        trained_groups=model.trained_groups,
        model_files=model.files,
        model_digest=cache.model_digest,
        space=recipe_space(recipe, model),
    )
    chosen = dataset.items["select"]
    if chosen:
        groups = [item.group for item in chosen]
        index.remember_trained(cache.embed(store, chosen), groups=groups, digests=store.digests(chosen))
    fill_index(index, dataset, store, lambda items: cache.embed(store, items), recipe.unknown.way)
    return index


def recipe_engine(recipe: Recipe, registries: Registries) -> EngineChoice:
    """The recipe's engine."""
    return engine_of(registries, recipe.engine.type, recipe.engine.options.model_dump(mode="json", by_alias=True))


def refuse_unfit_engine(recipe: Recipe, registries: Registries, model: Model) -> None:
    """`UsageError` before the training, not after it, where the engine could not hold this model's embeddings."""
    choice = recipe_engine(recipe, registries)
    engine = choice.make(Build(seed=0, metric=model.method.metric, embedding_dim=model.embedding_dim))
    on_references = recipe.unknown.way == "leave_one_group_out" and isinstance(recipe.unknown.space, EmbeddingSpace)
    if on_references and not engine.exact:
        raise UsageError(
            f"unknown.way 'leave_one_group_out' needs an exact engine, and {choice.type} with these options is none. "
            "Take another index.engine, or way held_out."
        )


def recipe_score(recipe: Recipe, registries: Registries) -> ScoreChoice:
    """The recipe's outlier score."""
    return score_of(registries, recipe.score.type, recipe.score.options.model_dump(mode="json", by_alias=True))


def recipe_space(recipe: Recipe, model: Model) -> Space | None:
    """Where the recipe's outlier score looks; `None` for the embedding."""
    return index_space(recipe.unknown.space, model.space.dims(model.embedding_dim) if model.space else ())


def index_space(said: EmbeddingSpace | FeaturesSpace | JoinedSpace, dims: Sequence[int]) -> Space | None:
    """What a recipe says of a space whose parts are so wide; `None` for the embedding."""
    if isinstance(said, EmbeddingSpace):
        return None
    standardize = said.standardize if isinstance(said, FeaturesSpace) else True
    return Space(", and ".join(part.said for part in parts_of(said)), tuple(dims), said.metric, standardize)


def fill_index(
    index: Index, dataset: Dataset, store: ImageStore, embed: Callable[[Sequence[Any]], Embedded], way: Way
) -> None:
    """Train items as references, calibrate items as calibration, in whatever space `embed` gives."""
    references, calibration = dataset.items["train"], dataset.items["calibrate"]
    index.add(embed(references), **_about(references, store), trained=True)
    if way == "leave_one_group_out":
        index.add(embed(calibration), **_about(calibration, store))
        index.calibrate_on_references()
    elif calibration:
        index.calibrate(embed(calibration), **_about(calibration, store))


def _about(items: Sequence[Item], store: ImageStore) -> dict[str, Any]:
    """What goes with the items' embeddings."""
    return {
        "labels": [item.label for item in items],
        "groups": [item.group for item in items],
        "sources": [item.key for item in items],
        "digests": store.digests(items),
    }


def uncalibrated_notes(recipe: Recipe, registries: Registries, dataset: Dataset) -> list[str]:
    """What a user should hear before training, not after: classes for which 'unknown' will promise nothing."""
    if recipe.data.fold:
        return []  # one of several, which calibrate together
    wanted, cross = groups_needed(recipe.index.alpha), recipe.unknown.way == "cross_conformal"
    items = dataset.items["train" if cross else "calibrate"]
    groups = {label: len({item.group for item in items if item.label == label}) for label in dataset.classes}
    short = [f"{label!r} has {n}" for label, n in groups.items() if n < wanted]
    notes = []
    if short:
        notes.append(
            f"'unknown' will promise nothing for classes with too few calibration groups: {listing(short)}; "
            f"index.alpha {recipe.index.alpha:g} needs {wanted}. "
            f"Raise data.{'shots' if cross else 'calibrate'} or index.alpha."
        )
    fewest = min(Counter(item.label for item in dataset.items["train"]).values())
    needed = recipe_score(recipe, registries).make(Build(seed=0, metric="l2")).fewest
    if needed > fewest:
        notes.append(
            f"'unknown' will promise nothing: the score {recipe.score.type} needs {needed} references a class, and one "
            f"has {fewest}."
        )
    return notes
