"""A warm start: each backbone of a recipe begins with its ancestor's weights, and with all that those have seen."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import cast

from torch import Tensor, nn

from nearkin.components.backbones.network import Network
from nearkin.contracts import Backbone, InputSpec
from nearkin.data import Dataset, ImageStore, Item
from nearkin.errors import DamagedError, DataError, UsageError, listing
from nearkin.model import Model
from nearkin.recipe import Recipe
from nearkin.run import RunFolder
from nearkin.side_by_side import members_of, trunk_of
from nearkin.training.ancestor import Ancestor


@dataclass(frozen=True)
class WarmStart:
    """The ancestors of a recipe's backbones."""

    ancestors: tuple[Ancestor | None, ...]
    """One a backbone, in the recipe's order; `None` where it begins with its own weights."""

    @classmethod
    def of(cls, recipe: Recipe) -> WarmStart:
        """Every run read, every file confirmed by its hash."""
        runs = (section.init_from for section in recipe.backbones)
        return cls(tuple(Ancestor.of(*names) if names else None for names in runs))

    def give(self, model: Model) -> list[str]:
        """Put the weights into a new model's backbones; say of each what was taken and what was not.

        A trunk must be the same to the last shape; a projection head of another shape keeps its first weights, unless
        a classifier's layer can be the head.
        """
        told = []
        for ancestor, backbone in zip(self.ancestors, members_of(model.backbone), strict=True):
            if ancestor is not None:
                _check_preparation(ancestor, model)
                told.append(_give(ancestor, backbone))
                model.trained_on |= ancestor.trained_on
                model.trained_groups |= ancestor.trained_groups
        if told:
            model.begins()
        return told

    @property
    def digests(self) -> dict[str, str]:
        """Each run that one begins with -> the hash of its weights file."""
        return {run: digest for one in self.ancestors if one for run, digest in one.digests.items()}

    def seen(self, items: Sequence[Item], store: ImageStore) -> dict[str, dict[str, bool]]:
        """What each ancestor was trained on of these items, as `Ancestor.saw` has it; only runs that saw any."""
        found = {ancestor.run: ancestor.saw(items, store) for ancestor in self.ancestors if ancestor}
        return {run: keys for run, keys in found.items() if keys}

    def refuse_seen(self, dataset: Dataset, store: ImageStore) -> None:
        """`DataError` where one was trained on images that are to calibrate: their promise would be worth nothing."""
        seen = self.seen(dataset.items["calibrate"], store)
        if seen:
            told = [
                f"backbone.init_from: {run} was trained on {len(keys)} of the images that are to calibrate: "
                f"{listing(keys)}."
                for run, keys in seen.items()
            ]
            told[-1] += (
                " Give all recipes the same data.held_out_seed, select and calibrate, so no base ever sees them."
            )
            named = {key for keys in seen.values() for key, same in keys.items() if not same}
            if named:
                told.append(
                    f"{len(named)} of them were told by their name or group alone, their files are others: "
                    f"{listing(sorted(named))}. If these are other images, begin data.path one folder higher, which "
                    "names them anew, or let data.group tell the two sets apart."
                )
            raise DataError("\n".join(told))


def _give(ancestor: Ancestor, to: Backbone) -> str:
    backbone = cast(nn.Module, to)  # a Protocol to plugins, a module to torch
    _check_input(ancestor.run, ancestor.input, to.input)
    own = backbone.state_dict()
    taken = {name: t for name, t in ancestor.weights.items() if name in own and own[name].shape == t.shape}
    _check_trunk(ancestor.run, trunk_of(to), own, taken)
    head, why_none = _head(ancestor, backbone, taken)
    anew = [name for name in own if name not in taken and name not in head]
    _refuse_frozen(ancestor.run, backbone, anew, why_none)
    backbone.load_state_dict({**own, **taken, **head})
    left = sorted(set(ancestor.weights) - set(taken))  # safetensors gives them in any order
    return _told(ancestor, len(taken), left, head, anew, why_none)


def _head(
    ancestor: Ancestor, backbone: nn.Module, taken: Mapping[str, Tensor]
) -> tuple[Mapping[str, Tensor], Sequence[str]]:
    """The projection head that the ancestor's classifier gives a backbone whose head would begin anew, or why none.

    It gives one where the head is a linear layer of as many dimensions as there are classes, on the very same features.
    """
    layer = ancestor.layer
    if not isinstance(backbone, Network) or isinstance(backbone.head, nn.Identity) or "head.weight" in taken:
        return {}, ()
    if "head.weight" in ancestor.weights:
        return {}, (f"its own head has {len(ancestor.weights['head.weight'])} dimensions",)
    if layer.why_not or not layer.weights:
        return {}, (layer.why_not or "it has neither a head nor a classifier's layer that could be one",)
    if not isinstance(backbone.head, nn.Linear):
        return {}, ("its classifier's layer can only be a linear head",)
    if set(ancestor.weights) != set(taken) or layer.weights["head.weight"].shape[1] != backbone.head.in_features:
        return {}, ("its classifier's layer is no head here: it stands on other features",)
    if len(layer.classes) != backbone.head.out_features:
        return {}, (f"its classifier's layer is no head here: it has {len(layer.classes)} classes",)
    return layer.weights, ()


def _refuse_frozen(run: str, backbone: nn.Module, anew: Sequence[str], why: Sequence[str]) -> None:
    """What begins at random must learn."""
    frozen = [name for name, parameter in backbone.named_parameters() if name in anew and not parameter.requires_grad]
    if frozen:
        raise UsageError(
            f"backbone.init_from: {listing(frozen)} would begin at random and never learn. Of {run}: "
            f"{'; '.join(why) or 'it has none that fits'}. Freeze less ('all' lets a head learn), or leave "
            "embedding_dim as it is there."
        )


def _check_preparation(ancestor: Ancestor, model: Model) -> None:
    """Its weights were fitted to images of its own contrast and crop."""
    theirs, ours = ancestor.preparation.plain(), model.blueprint.preparation.plain()
    for name in theirs:
        if theirs[name] != ours[name]:
            there, here = (said[name] or "none" for said in (theirs, ours))
            raise UsageError(
                f"backbone.init_from: {ancestor.run} saw its images in another data.{name}: {there} there, {here} "
                "here. Give both recipes the same."
            )


def _check_input(run: str, theirs: Mapping[str, object], ours: InputSpec) -> None:
    """Weights mean nothing for pixels that are prepared in another way. Another size is the user's choice."""
    own = json.loads(json.dumps(asdict(ours)))
    other = [
        f"{name} {theirs[name]} there, {own[name]} here" for name in own if name != "size" and theirs[name] != own[name]
    ]
    if other:
        raise UsageError(f"backbone.init_from: {run} takes other images: {listing(other)}. Give the backbone the same.")


def _check_trunk(run: str, trunk: nn.Module, own: Mapping[str, Tensor], taken: Mapping[str, Tensor]) -> None:
    """All of the trunk must have been there; its tensors are known by where they lie."""
    places = {tensor.data_ptr() for tensor in trunk.state_dict().values()}
    missing = [name for name, tensor in own.items() if tensor.data_ptr() in places and name not in taken]
    if missing:
        raise UsageError(
            f"backbone.init_from: the backbone of {run} is another one: {listing(missing)} are not there or have "
            "another shape. Leave out the backbone's type and width, and they are as in that run."
        )


def _told(
    ancestor: Ancestor,
    taken: int,
    left: Sequence[str],
    head: Mapping[str, Tensor],
    anew: Sequence[str],
    why_none: Sequence[str],
) -> str:
    """One line: what was taken of it, and what was not."""
    told = f"backbone from {ancestor.run}: {taken} tensors taken"
    told += f"; not taken (no place or another shape): {listing(left)}" if left else ""
    if head:
        told += f"; its classifier's layer is the projection head ({listing(ancestor.layer.classes)})"
    why = "".join(f" ({reason})" for reason in why_none)
    return told + (f"; begin anew: {listing(anew)}{why}." if anew else "; nothing begins anew.")


def bases_gone(recipe: Recipe) -> list[str]:
    """The runs that its backbones begin with and that are not on this machine."""
    return [run for section in recipe.backbones for run in section.init_from if not RunFolder(run).path.is_dir()]


def refuse_other_bases(was: Mapping[str, str], now: Mapping[str, str]) -> None:
    """`DamagedError` where a base has other weights than a run says that it began with; older runs say nothing."""
    changed = [run for run, digest in now.items() if was.get(run, digest) != digest]
    if changed:
        raise DamagedError(
            f"backbone.init_from: {listing(changed)} has other weights now than when this run began with it. Put "
            "those back from a copy, or train anew."
        )
