"""Look-alikes: pairs that the pixels leave open and that a network finds alike. Hints to look at, never errors.

A perceptual hash proposes pairs, more than a copy's, and the backbone's embedding disposes: what is named are pairs of
which each is the other's nearest. On chest X-rays ImageNet features put copies with another contrast farther apart than
many patients (docs/xrays.md), so that no rule stands on them: `data.drop_leaks` sees pixels alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import torch

from nearkin.blueprint import Blueprint
from nearkin.contracts import FloatArray, IntArray
from nearkin.data import ImageStore, Item, Source
from nearkin.data.looks import Look
from nearkin.data.near_copies import Pair, bits_apart
from nearkin.datacheck.findings import Finding
from nearkin.errors import listing
from nearkin.model import EMBED_BATCH, build_model
from nearkin.recipe.model import Recipe
from nearkin.registry import Registries
from nearkin.training.warm_start import WarmStart

BITS_APART = 20
"""Of 63 bits of the perceptual hash. Copies are up to 12 apart, unrelated images about 31."""
TINY = 1e-6
Embed: TypeAlias = Callable[[Source, Sequence[Item]], FloatArray]
"""Items of a source -> (n, d)."""


def backbone_before_training(recipe: Recipe, registries: Registries) -> Embed:
    """The recipe's backbone as its first step would find it: with ImageNet's weights, another run's, or random ones."""

    @torch.inference_mode()
    def embed(source: Source, items: Sequence[Item]) -> FloatArray:
        labels = tuple(sorted({item.label for item in source.items}))
        model = build_model(Blueprint.of(recipe, labels), registries).eval()
        WarmStart.of(recipe).give(model)
        images = ImageStore.load(source, items, model.input, preparation=recipe.data.preparation).images(items)
        chunks = torch.split(torch.from_numpy(images), EMBED_BATCH)
        vectors: FloatArray = torch.cat([model.raw(chunk).float() for chunk in chunks]).numpy()
        return vectors

    return embed


def look_alike_findings(looks: Sequence[Look], embeddings: FloatArray, known: Sequence[Pair]) -> list[Finding]:
    """(n,) looks, (n, d), pairs that are told already -> one note on each other's nearest, the nearest pair first."""
    told = {frozenset(pair.keys) for pair in known}
    likest, cosines = likest_of(looks, standardised(embeddings))
    mutual = [(i, j) for i, j in enumerate(likest.tolist()) if i < j and likest[j] == i and np.isfinite(cosines[i])]
    mutual.sort(key=lambda pair: -cosines[pair[0]])
    pairs = [(looks[i], looks[j], cosines[i]) for i, j in mutual if crosses(looks[i], looks[j])]
    found = {(a.item.key, b.item.key): round(float(cosine), 4) for a, b, cosine in pairs}
    found = {keys: cosine for keys, cosine in found.items() if frozenset(keys) not in told}
    if not found:
        return []
    message = (
        f"{len(found)} pairs of two splits or two classes are each other's nearest to the network, and no copies by "
        f"their pixels: {listing([' ~ '.join(keys) for keys in found], most=5)}. Hints, not errors: look at the first "
        "of them for one patient or a wrong label."
    )
    return [Finding("note", "look_alikes", message, tuple(found), figures={"cosine": list(found.values())})]


def crosses(a: Look, b: Look) -> bool:
    """Whether a pair stands in two splits or carries two labels; others harm no figure."""
    return a.item.side != b.item.side or a.item.label != b.item.label


def likest_of(looks: Sequence[Look], units: FloatArray) -> tuple[IntArray, FloatArray]:
    """(n,) looks, (n, d) -> (n,) the likest of those with a near hash, (n,) its cosine, -inf where there is none."""
    likest, cosines = np.zeros(len(looks), np.int64), np.zeros(len(looks), np.float32)
    for rows, apart in bits_apart(looks):
        near = apart <= BITS_APART
        near[np.arange(len(rows)), rows] = False
        found = np.where(near, units[rows] @ units.T, -np.inf)
        likest[rows], cosines[rows] = found.argmax(axis=1), found.max(axis=1)
    return likest, cosines


def standardised(embeddings: FloatArray) -> FloatArray:
    """(n, d) -> (n, d) of length 1, each dimension brought to mean 0 and deviation 1 first."""
    centred = embeddings - embeddings.mean(axis=0)
    scaled = centred / np.maximum(centred.std(axis=0), TINY)
    units: FloatArray = scaled / np.maximum(np.linalg.norm(scaled, axis=1, keepdims=True), TINY)
    return units
