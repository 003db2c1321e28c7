"""Retrieval on 10,000 embeddings of 128 in 100 classes, and pytorch-metric-learning's calculator on the same."""

from __future__ import annotations

import time
from functools import cache

import numpy as np
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

from nearkin.contracts import View
from nearkin.index import Index
from tests.bench.evaluation import evaluation_seconds

IMAGES, CLASSES, DIMS = 10_000, 100, 128


@cache
def view() -> View:
    """Classes that overlap."""
    rng = np.random.default_rng(0)
    codes = np.arange(IMAGES) % CLASSES
    vectors = (rng.normal(size=(IMAGES, DIMS)) + 0.6 * rng.normal(size=(CLASSES, DIMS))[codes]).astype(np.float32)
    labels, names = tuple(f"class-{code:02}" for code in codes), tuple(map(str, range(IMAGES)))
    index = Index(metric="l2", class_rule="nearest", dim=DIMS)
    return View("model", vectors, labels, names, names, tuple(sorted(set(labels))), frozenset(), index, 0)


def retrieval_seconds() -> float:
    """All figures, each with its interval of 200 resamples."""
    return evaluation_seconds("retrieval", view())


def calculator_seconds() -> float:
    """The same figures but recall, no intervals; as it comes, k left out."""
    include = ("precision_at_1", "r_precision", "mean_average_precision_at_r")
    codes = np.unique(view().labels, return_inverse=True)[1]
    calculator = AccuracyCalculator(include=include)
    started = time.perf_counter()
    calculator.get_accuracy(view().embeddings, codes)
    return time.perf_counter() - started
