"""Samplers, episodes over embedded items, and images embedded once a batch."""

from __future__ import annotations

import time
from functools import cache
from typing import Any

import numpy as np
import torch

from nearkin import load_registries
from nearkin.contracts import Build, Sampler, View
from nearkin.index import Index
from tests.bench.evaluation import evaluation_seconds

BATCHES = 200
OPTIONS: dict[str, dict[str, int]] = {
    "balanced_pairs": {"pairs": 64},
    "all_pairs": {"classes": 32, "m": 2},
    "triplets": {"triplets": 64},
    "m_per_class": {"classes": 16, "m": 4},
    "episodes": {"n_way": 20, "n_shot": 1, "n_query": 2},
}


@cache
def sampler(name: str, items: int) -> Sampler:
    """Over so many items of fifty classes."""
    component = load_registries(entry_points=False).sampler.get(name)
    labels = np.repeat(np.arange(50), items // 50)
    build = Build(seed=0, classes=tuple(f"class{code}" for code in range(50)), labels=labels)
    made: Sampler = component.factory(component.options.model_validate(OPTIONS[name]), build)
    return made


def sampling_seconds(name: str, items: int) -> float:
    """One batch, in the mean of many."""
    drawn = sampler(name, items)
    started = time.perf_counter()
    for step in range(BATCHES):
        drawn.batch(step)
    return (time.perf_counter() - started) / BATCHES


@cache
def network(layout: torch.memory_format = torch.contiguous_format) -> Any:
    """conv4 at 28x28, as it trains, its weights in that layout."""
    component = load_registries(entry_points=False).backbone.get("conv4")
    return component.factory(component.options(), Build(seed=0)).to(memory_format=layout)


def embedding_seconds(images: int) -> float:
    """Forward and backward of so many images through conv4."""
    batch = torch.rand(images, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    started = time.perf_counter()
    network()(batch).square().mean().backward()
    return time.perf_counter() - started


def convolutions_seconds(layout: torch.memory_format) -> float:
    """Forward and backward of 60 images through conv4's convolutions, images and weights in that layout."""
    batch = torch.rand(60, 1, 28, 28, generator=torch.Generator().manual_seed(0)).to(memory_format=layout)
    started = time.perf_counter()
    network(layout).blocks(batch).square().mean().backward()
    return time.perf_counter() - started


@cache
def view() -> View:
    """47 new classes of one parent, twenty images each by twenty drawers."""
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(47), 20)
    vectors = (rng.normal(size=(940, 64)) + rng.normal(size=(47, 64))[codes]).astype(np.float32)
    names, groups = tuple(map(str, range(940))), tuple(f"drawer {n % 20}" for n in range(940))
    labels = tuple(f"alphabet/{code}" for code in codes)
    index = Index(metric="l2", class_rule="nearest", dim=64)
    return View("model", vectors, labels, groups, names, ("a", "b"), frozenset(), index, 0)


def episodes_seconds() -> float:
    """1,000 episodes of 20-way one-shot with their intervals."""
    return evaluation_seconds("episodes", view())


def thousand_distances_seconds() -> float:
    """A thousand times the distances of one episode, which none can do without."""
    vectors = torch.from_numpy(view().embeddings)
    started = time.perf_counter()
    for _ in range(1000):
        torch.cdist(vectors[:100], vectors[100:120])
    return time.perf_counter() - started
