"""An ancestor: the backbone of another run, or the mean of several, and all that trained them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load
from torch import Tensor
from torch.nn import functional as F

from nearkin.data import ImageStore, Item
from nearkin.errors import UsageError, listing
from nearkin.files import sha256
from nearkin.model import DESCRIPTION, WEIGHTS
from nearkin.recipe.ancestor import several_there
from nearkin.recipe.preparation import Preparation
from nearkin.run import RunFolder

PREFIX, LAYER, HEAD = "backbone.", "method.layer.", "head."
CLASSIFIERS = ("classifier", "nearkin:classifier")
SAME_BEGINNING = 0.5
"""The least cosine of two networks' weights whose mean is a network."""


@dataclass(frozen=True)
class Layer:
    """A classifier's layer, as a linear projection head on the same features would be."""

    weights: Mapping[str, Tensor] = field(default_factory=dict)
    """`head.weight` (c, d) and `head.bias` (c,); empty where there is no such layer."""
    classes: tuple[str, ...] = ()
    why_not: str = ""
    """Why a layer that there is can be nobody's head."""


@dataclass(frozen=True)
class Ancestor:
    """What another run gives: its backbone's weights, and what they have seen."""

    run: str
    weights: Mapping[str, Tensor]
    """Under the names that the backbone itself gives them."""
    layer: Layer
    input: Mapping[str, object]
    preparation: Preparation
    trained_on: frozenset[str]
    trained_groups: frozenset[str]
    digests: Mapping[str, str]
    """Run -> the hash of its weights file; of a mean, of each."""

    @classmethod
    def of(cls, *runs: str) -> Ancestor:
        """Of a finished run, every file confirmed by its hash, or the mean of several."""
        ancestors = [cls._read(run) for run in runs]
        return ancestors[0] if len(ancestors) == 1 else mean_of(ancestors)

    @classmethod
    def _read(cls, run: str) -> Ancestor:
        folder = RunFolder(run)
        if not folder.path.is_dir():
            raise UsageError(
                f"backbone.init_from: there is no run {run!r} (seen from {Path.cwd()}), and the first weights come "
                "from it. Put it back, or work in the folder that its path begins in."
            )
        bundle = folder.read()
        if bundle.meta.get("state") != "finished":
            raise UsageError(f"backbone.init_from: {run} is not finished. 'nearkin train --resume {run}' continues it.")
        said = json.loads(bundle.files[DESCRIPTION])
        if isinstance(said["backbone"], list):
            raise UsageError(f"backbone.init_from: {several_there(run, len(said['backbone']))}")
        tensors = load(bundle.files[WEIGHTS])
        weights = {name.removeprefix(PREFIX): t for name, t in tensors.items() if name.startswith(PREFIX)}
        seen = frozenset(said["trained_on"]), frozenset(said.get("trained_groups", ()))
        digests = {run: sha256(bundle.files[WEIGHTS])}
        return cls(run, weights, layer_of(said, tensors), said["input"], Preparation.described(said), *seen, digests)

    def saw(self, items: Sequence[Item], store: ImageStore) -> dict[str, bool]:
        """Keys of the items that trained it, or are of a group that did -> whether by their bytes, not by name alone.

        Under `trained_groups` stand the keys of images that are their own group too, and the index refuses to
        calibrate on a key that is there: so it counts here, before the training.
        """
        same = [digest in self.trained_on for digest in store.digests(items)]
        pairs = zip(items, same, strict=True)
        return {item.key: it for item, it in pairs if it or item.group in self.trained_groups}


def layer_of(said: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Layer:
    """That of a classifier whose backbone has no head of its own: on bare features, which a head would stand on too."""
    layer = {name.replace(LAYER, HEAD): tensor for name, tensor in tensors.items() if name.startswith(LAYER)}
    if said["method"]["type"] not in CLASSIFIERS or not layer or any(n.startswith(PREFIX + HEAD) for n in tensors):
        return Layer()
    if said["backbone"]["options"].get("normalize"):
        return Layer(why_not="its classifier's layer is no head: it stands on normalised features")
    return Layer(layer, tuple(said["classes"]))


def mean_of(ancestors: Sequence[Ancestor]) -> Ancestor:
    """One whose weights are the mean of theirs, trained on all that trained any: a model soup (Wortsman et al. 2022).

    Counts of batches, which are no weights, are the first one's.
    """
    first = ancestors[0]
    for other in ancestors[1:]:
        _check_averaged(first, other)
    return Ancestor(
        run=f"the mean of {listing(one.run for one in ancestors)}",
        weights=_means([one.weights for one in ancestors]),
        layer=_mean_layer([one.layer for one in ancestors]),
        input=first.input,
        preparation=first.preparation,
        trained_on=frozenset().union(*(one.trained_on for one in ancestors)),
        trained_groups=frozenset().union(*(one.trained_groups for one in ancestors)),
        digests={run: digest for one in ancestors for run, digest in one.digests.items()},
    )


def _mean_layer(layers: Sequence[Layer]) -> Layer:
    """The mean of what they say of the same features: of linear layers, the layer of the mean weights."""
    if any(layer.classes != layers[0].classes for layer in layers):
        return Layer(why_not="their classifiers' layers are no one head: they are of different classes")
    return Layer(_means([layer.weights for layer in layers]), layers[0].classes, layers[0].why_not)


def _means(weights: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    return {name: _mean([one[name] for one in weights]) for name in weights[0]}


def _mean(tensors: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(tensors)).mean(dim=0) if tensors[0].is_floating_point() else tensors[0]


def _check_averaged(first: Ancestor, other: Ancestor) -> None:
    """A mean wants one network and one kind of image, and weights that were fine-tuned from the same beginning."""
    both = f"backbone.init_from: no mean of {first.run} and {other.run}"
    shapes = [{name: tensor.shape for name, tensor in one.weights.items()} for one in (first, other)]
    if shapes[0] != shapes[1]:
        differing = sorted(name for name, _ in shapes[0].items() ^ shapes[1].items())
        raise UsageError(f"{both}: their networks differ in {listing(dict.fromkeys(differing))}. Train them alike.")
    if first.input != other.input or first.preparation != other.preparation:
        raise UsageError(f"{both}: they take images of another size or preparation. Train them alike.")
    found = likeness(first.weights, other.weights)
    if found < SAME_BEGINNING:
        raise UsageError(
            f"{both}: their weights have a cosine of {found:.2f}, so they did not begin from the same ones, and what "
            "lies between them is no network. Fine-tune both from the same ImageNet weights or the same run."
        )


def likeness(some: Mapping[str, Tensor], others: Mapping[str, Tensor]) -> float:
    """The cosine of two networks' matrices and kernels: about 0 for two random beginnings, near 1 after fine-tuning."""
    names = [name for name, tensor in some.items() if tensor.ndim > 1]
    flat = [torch.cat([one[name].double().flatten() for name in names]) for one in (some, others)]
    return F.cosine_similarity(flat[0], flat[1], dim=0).item()
