"""The spaces that figures are measured in: the model's, and two baselines that cost the user nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np

from nearkin.contracts import ClassRule, Compare, Embedded, FloatArray, LabelledEmbeddings, Metric, QueryableIndex, View
from nearkin.data import Dataset, ImageStore, Item, load_data
from nearkin.embeddings import EmbeddingCache
from nearkin.errors import DamagedError, DataError, listing
from nearkin.evaluation.no_index import NoIndex
from nearkin.evaluation.on_demand import OnDemand
from nearkin.index import Index
from nearkin.index.space import Space as OutlierSpace
from nearkin.model import build_model
from nearkin.run import Run
from nearkin.training.indexing import fill_index, recipe_score, recipe_space
from nearkin.training.warm_start import WarmStart, bases_gone, refuse_other_bases
from nearkin.training.watch import Watch


@dataclass(frozen=True)
class Space:
    """One way to turn items into vectors, and to compare them."""

    name: Literal["model", "pixels", "untrained"]
    embed: Callable[[Sequence[Item]], Embedded]
    metric: Metric
    class_rule: ClassRule
    compare: Compare | None = None
    """The method's own; `None` for the nearest support."""
    no_index: str = ""
    """Why there can be none in it."""
    outlier: OutlierSpace | None = None
    """Where the index's outlier score looks; `None` for the same vectors."""
    by_fold: tuple[Callable[[Sequence[Item]], Embedded], ...] = ()
    """How the model of each fold embeds, where the run is calibrated cross-conformally."""


def not_measured(run: Run) -> dict[str, str]:
    """The baselines that cannot be measured here -> why: a warm run that was copied elsewhere has no base there."""
    gone = bases_gone(run.recipe)
    if not gone:
        return {}
    return {
        "untrained": f"the baseline 'untrained' is left out, as the run that this one began with, {listing(gone)}, "
        "is not here"
    }


def spaces(run: Run, store: ImageStore, watch: Watch) -> Iterator[Space]:
    """The model, nearest neighbour on pixels, and the backbone as it was before its first step, where it is known."""
    model = run.model
    begun = None if not_measured(run) else WarmStart.of(run.recipe)
    if begun:
        refuse_other_bases(run.facts.get("ancestors", {}), begun.digests)
    cache = EmbeddingCache(run.folder.embeddings, model, unkept=watch.message)
    rules, outlier = (model.method.metric, model.method.class_rule), recipe_space(run.recipe, model)
    n, folds = len(run.folds), tuple(_embeds(fold, store, watch) for fold in run.folds)
    how = (*rules, model.compare, model.no_index, outlier, folds)
    yield Space("model", lambda items: cache.embed(store, items), *how)
    of_pixels = Space("pixels", lambda items: Embedded(pixels(store.images(items))), "l2", "nearest")
    yield replace(of_pixels, by_fold=(of_pixels.embed,) * n)
    if begun is None:
        return
    untrained = build_model(model.blueprint, run.registries).eval()
    begun.give(untrained)
    as_untrained = (*rules, untrained.compare, untrained.no_index, outlier)
    of_untrained = Space("untrained", lambda items: untrained.embed_both(store.images(items)), *as_untrained)
    yield replace(of_untrained, by_fold=(of_untrained.embed,) * n)


def _embeds(fold: Run, store: ImageStore, watch: Watch) -> Callable[[Sequence[Item]], Embedded]:
    """How a fold's model embeds the run's images."""
    cache = EmbeddingCache(fold.folder.embeddings, fold.model, unkept=watch.message)
    return lambda items: cache.embed(store, items)


def views_of(run: Run, watch: Watch) -> list[View]:
    """The run's test items in each of its spaces. `DataError` where it has none."""
    dataset, store = reopen_data(run, watch)
    if not dataset.items["test"]:
        raise DataError(
            f"{run.path}: no images are left to test on. Lower data.shots, select or calibrate; train anew."
        )
    return [view(space, run, dataset, store) for space in spaces(run, store, watch)]


def reopen_data(run: Run, watch: Watch) -> tuple[Dataset, ImageStore]:
    """The run's data, drawn again; refused where it is not what the run was trained on."""
    source, dataset = load_data(run.recipe.data, run.recipe.seed)
    progress = partial(watch.progress, "reading images")
    preparation = run.model.blueprint.preparation
    store = ImageStore.load(source, dataset.all_items(), run.model.input, progress, preparation=preparation)
    if store.fingerprint(dataset) != run.facts["data"]:
        raise DamagedError(
            f"{run.path}: the images or labels changed since this run was trained (their fingerprint differs). "
            "Put them back, or train anew."
        )
    return dataset, store


def pixels(images: FloatArray) -> FloatArray:
    """(n, channels, h, w) -> (n, channels * h * w), as the backbone gets them."""
    return np.ascontiguousarray(images.reshape(len(images), -1))


def view(space: Space, run: Run, dataset: Dataset, store: ImageStore) -> View:
    """The test items in this space, with an index of the same references and calibration."""
    test, select = dataset.items["test"], dataset.items["select"]
    seen = [*dataset.items["calibrate"], *kin_of(run.model.trained_groups, test)]
    embedded = space.embed(test)
    return View(
        name=space.name,
        embeddings=embedded.vectors,
        space=embedded.space,
        labels=tuple(item.label for item in test),
        groups=tuple(item.group for item in test),
        digests=store.digests(test),
        classes=dataset.classes,
        seen_digests=run.model.trained_on | set(store.digests(seen)),
        index=_index(space, run, dataset, store, embedded.vectors.shape[1]),
        seed=run.recipe.seed,
        select=labelled(space, select, store) if select else None,
        compare=space.compare,
        folds=tuple(embed(test) for embed in space.by_fold),
    )


def kin_of(groups: AbstractSet[str], items: Sequence[Item]) -> list[Item]:
    """The items of these groups (patients). An image that is its own group is known by its digest."""
    return [item for item in items if item.group != item.key and item.group in groups]


def _index(space: Space, run: Run, dataset: Dataset, store: ImageStore, dim: int) -> QueryableIndex:
    if space.no_index:
        return NoIndex(space.no_index)
    return OnDemand(space.metric, run.recipe.index.alpha, lambda: _filled_index(space, run, dataset, store, dim))


def _filled_index(space: Space, run: Run, dataset: Dataset, store: ImageStore, dim: int) -> QueryableIndex:
    index = _empty_index(space, run, dim)
    fill_index(index, dataset, store, space.embed, run.recipe.unknown.way)
    folds = []
    for fold, embed in zip(run.folds, space.by_fold, strict=True):
        folds.append(_empty_index(space, fold, dim))
        fill_index(folds[-1], load_data(fold.recipe.data, fold.recipe.seed)[1], store, embed, "held_out")
    return index.calibrate_across(folds) if folds else index


def _empty_index(space: Space, run: Run, dim: int) -> Index:
    return Index(
        metric=space.metric,
        class_rule=space.class_rule,
        dim=dim,
        alpha=run.recipe.index.alpha,
        score=recipe_score(run.recipe, run.registries),
        operating_points=run.recipe.index.operating_points,
        trained_digests=run.model.trained_on,
        trained_groups=run.model.trained_groups,
        space=space.outlier,
    )


def labelled(space: Space, items: Sequence[Item], store: ImageStore) -> LabelledEmbeddings:
    """The items in this space, with what is known of them."""
    return LabelledEmbeddings(
        embeddings=space.embed(items).vectors,
        labels=tuple(item.label for item in items),
        groups=tuple(item.group for item in items),
        digests=store.digests(items),
    )
