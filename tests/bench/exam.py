"""An exam over embedded images, and one query from an image to its answer."""

from __future__ import annotations

import time
from functools import cache

import numpy as np
import torch

from nearkin.blueprint import Blueprint
from nearkin.contracts import Build, View
from nearkin.index import Index
from nearkin.index.distances import distances
from nearkin.model import Model, build_model
from tests.bench.steps import work

IMAGES, DIMS = 420, 64


@cache
def view() -> View:
    """Test items as many as the demo's, in three clusters that overlap."""
    rng = np.random.default_rng(0)
    codes = np.arange(IMAGES) % 3
    vectors = (rng.normal(size=(IMAGES, DIMS)) + 0.5 * np.eye(3, DIMS)[codes]).astype(np.float32)
    names = tuple(str(number) for number in range(IMAGES))
    labels = tuple("abc"[code] for code in codes)
    index = Index(metric="l1", class_rule="nearest", dim=DIMS)
    return View("model", vectors, labels, names, names, ("a", "b", "c"), frozenset(), index, 0)


def exam_seconds() -> float:
    """1,000 questions of 20 choices, with the interval that 200 resamples give."""
    component = work().registries.evaluator.get("n_way_exam")
    evaluator = component.factory(component.options(n_way=20, questions=1000), Build(seed=0))
    started = time.perf_counter()
    evaluator.evaluate(view())
    return time.perf_counter() - started


def distance_seconds() -> float:
    """The distances between all images, which no exam can do without."""
    started = time.perf_counter()
    distances(view().embeddings, view().embeddings, "l1")
    return time.perf_counter() - started


@cache
def loaded() -> tuple[Model, Index, np.ndarray]:
    """The demo's model, an index of its thirty references, and an image in hand."""
    model = build_model(Blueprint.of(work().recipe, work().dataset.classes), work().registries).eval()
    index = Index(
        metric=model.method.metric,
        class_rule=model.method.class_rule,
        dim=model.backbone.embedding_dim,
        embed=model.embed,
    )
    train, calibrate = work().labelled("train"), work().labelled("calibrate")
    names = work().dataset.classes
    index.add(model.embed_tensor(train.own), [names[code] for code in train.labels])
    index.calibrate(model.embed_tensor(calibrate.own), [names[code] for code in calibrate.labels])
    image = (np.random.default_rng(0).random((256, 256)) * 255).astype(np.uint8)
    return model, index, image


def query_seconds() -> float:
    """Decode, embed, decide."""
    _, index, image = loaded()
    started = time.perf_counter()
    index.query(image)
    return time.perf_counter() - started


def network_seconds() -> float:
    """The network alone, on one image of its size."""
    model = loaded()[0]
    one = torch.zeros(1, model.input.channels, *model.input.size)
    started = time.perf_counter()
    with torch.inference_mode():
        model.raw(one)
    return time.perf_counter() - started
