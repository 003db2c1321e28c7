"""A warm start: the backbone of another run, or the mean of several, and all that trained them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import torch
from safetensors.torch import load
from torch import Tensor, nn
from torch.nn import functional as F

from nearkin.contracts import InputSpec
from nearkin.data import Dataset, ImageStore
from nearkin.errors import DataError, UsageError, listing
from nearkin.model import DESCRIPTION, WEIGHTS, Model
from nearkin.recipe.preparation import Preparation
from nearkin.run import RunFolder
from nearkin.training.schedule import trunk_of

PREFIX = "backbone."
SAME_BEGINNING = 0.5
"""The least cosine of two networks' weights whose mean is a network."""


@dataclass(frozen=True)
class Ancestor:
    """What another run gives: its backbone's weights, and what they have seen."""

    run: str
    weights: Mapping[str, Tensor]
    """Under the names that the backbone itself gives them."""
    input: Mapping[str, object]
    preparation: Preparation
    trained_on: frozenset[str]
    trained_groups: frozenset[str]

    @classmethod
    def of(cls, *runs: str) -> Ancestor:
        """Of a finished run, every file confirmed by its hash, or the mean of several."""
        ancestors = [cls._read(run) for run in runs]
        return ancestors[0] if len(ancestors) == 1 else mean_of(ancestors)

    @classmethod
    def _read(cls, run: str) -> Ancestor:
        bundle = RunFolder(run).read()
        if bundle.meta.get("state") != "finished":
            raise UsageError(f"backbone.init_from: {run} is not finished. 'nearkin train --resume {run}' continues it.")
        said = json.loads(bundle.files[DESCRIPTION])
        tensors = load(bundle.files[WEIGHTS]).items()
        weights = {name.removeprefix(PREFIX): tensor for name, tensor in tensors if name.startswith(PREFIX)}
        seen = frozenset(said["trained_on"]), frozenset(said.get("trained_groups", ()))
        return cls(run, weights, said["input"], Preparation.described(said), *seen)

    def give(self, model: Model) -> list[str]:
        """Put the weights into a new model's backbone; say what was taken and what was not.

        The trunk must be the same to the last shape; a projection head of another shape keeps its first weights.
        """
        _check_input(self.run, self.input, model.input)
        self._check_preparation(model)
        backbone: nn.Module = model.backbone  # type: ignore[assignment]  # a Protocol to plugins, a module to torch
        own = backbone.state_dict()
        fitting = {name: t for name, t in self.weights.items() if name in own and own[name].shape == t.shape}
        _check_trunk(self.run, trunk_of(model.backbone), own, fitting)
        backbone.load_state_dict({**own, **fitting})
        model.begins()
        model.trained_on |= self.trained_on
        model.trained_groups |= self.trained_groups
        return [_told(self.run, fitting, [name for name in own if name not in fitting], self.weights)]

    def _check_preparation(self, model: Model) -> None:
        """Its weights were fitted to images of its own contrast and crop."""
        theirs, ours = self.preparation.plain(), model.blueprint.preparation.plain()
        for name in theirs:
            if theirs[name] != ours[name]:
                there, here = (said[name] or "none" for said in (theirs, ours))
                raise UsageError(
                    f"backbone.init_from: {self.run} saw its images in another data.{name}: {there} there, {here} "
                    "here. Give both recipes the same."
                )

    def refuse_seen(self, dataset: Dataset, store: ImageStore) -> None:
        """`DataError` where it was trained on images that are to calibrate: their promise would be worth nothing."""
        items = dataset.items["calibrate"]
        pairs = zip(items, store.digests(items), strict=True)
        seen = [i.key for i, digest in pairs if digest in self.trained_on or i.group in self.trained_groups]
        if seen:
            raise DataError(
                f"backbone.init_from: {self.run} was trained on {len(seen)} of the images that are to calibrate: "
                f"{listing(seen)}. Give both recipes the same data.held_out_seed, select and calibrate, so that the "
                "base never sees them."
            )


def mean_of(ancestors: Sequence[Ancestor]) -> Ancestor:
    """One whose weights are the mean of theirs, trained on all that trained any: a model soup (Wortsman et al. 2022).

    Counts of batches, which are no weights, are the first one's.
    """
    first = ancestors[0]
    for other in ancestors[1:]:
        _check_averaged(first, other)
    return Ancestor(
        run=f"the mean of {listing(one.run for one in ancestors)}",
        weights={name: _mean([one.weights[name] for one in ancestors]) for name in first.weights},
        input=first.input,
        preparation=first.preparation,
        trained_on=frozenset().union(*(one.trained_on for one in ancestors)),
        trained_groups=frozenset().union(*(one.trained_groups for one in ancestors)),
    )


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


def _check_input(run: str, theirs: Mapping[str, object], ours: InputSpec) -> None:
    """Weights mean nothing for pixels that are prepared in another way. Another size is the user's choice."""
    own = json.loads(json.dumps(asdict(ours)))
    other = [
        f"{name} {theirs[name]} there, {own[name]} here" for name in own if name != "size" and theirs[name] != own[name]
    ]
    if other:
        raise UsageError(f"backbone.init_from: {run} takes other images: {listing(other)}. Give the backbone the same.")


def _check_trunk(run: str, trunk: nn.Module, own: Mapping[str, Tensor], fitting: Mapping[str, Tensor]) -> None:
    """All of the trunk must have been there; its tensors are known by where they lie."""
    places = {tensor.data_ptr() for tensor in trunk.state_dict().values()}
    missing = [name for name, tensor in own.items() if tensor.data_ptr() in places and name not in fitting]
    if missing:
        raise UsageError(
            f"backbone.init_from: the backbone of {run} is another one: {listing(missing)} are not there or have "
            "another shape. Leave out the backbone's type and width, and they are as in that run."
        )


def _told(run: str, taken: Mapping[str, Tensor], kept: Sequence[str], theirs: Mapping[str, Tensor]) -> str:
    """One line: what was taken of it, and what was not."""
    left = sorted(set(theirs) - set(taken))  # safetensors gives them in any order
    told = f"backbone from {run}: {len(taken)} tensors taken"
    told += f"; not taken (no place or another shape): {listing(left)}" if left else ""
    return told + (f"; begin anew: {listing(kept)}." if kept else "; nothing begins anew.")
