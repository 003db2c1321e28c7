"""A warm start: the backbone of another run, and all that trained it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from safetensors.torch import load
from torch import Tensor, nn

from nearkin.contracts import InputSpec
from nearkin.data import Dataset, ImageStore
from nearkin.errors import DataError, UsageError, listing
from nearkin.model import DESCRIPTION, WEIGHTS, Model
from nearkin.recipe.preparation import Preparation
from nearkin.run import RunFolder
from nearkin.training.schedule import trunk_of

PREFIX = "backbone."


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
    def of(cls, run: str) -> Ancestor:
        """Of a finished run, every file confirmed by its hash."""
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
