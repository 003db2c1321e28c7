"""kornia's augmentations by name, checked against the installed kornia before anything trains."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from nearkin.contracts import InputSpec
from nearkin.errors import PluginError, UsageError, did_you_mean, listing
from nearkin.recipe.train_options import KorniaOptions


def kornia_layers(asked: Sequence[KorniaOptions], spec: InputSpec) -> nn.Sequential:
    """(b, channels, h, w) -> the same shape; `UsageError` names what kornia does not know or what changes the shape."""
    return nn.Sequential(*(_layer(options, place, spec) for place, options in enumerate(asked)))


def _layer(options: KorniaOptions, place: int, spec: InputSpec) -> nn.Module:
    where, known = f"train.augment.kornia.{place}", _augmentations()
    if options.type not in known:
        raise UsageError(
            f"{where}: kornia has no augmentation {options.type!r}.{did_you_mean(options.type, known)} "
            f"There are {listing(sorted(known), most=60)}."
        )
    given = {key: _tupled(value) for key, value in (options.model_extra or {}).items()}
    names = [name for name in inspect.signature(known[options.type]).parameters if name != "keepdim"]
    for key in given:
        if key not in names:
            raise UsageError(
                f"{where}: {options.type} takes no {key!r}.{did_you_mean(key, names)} It takes {listing(names)}."
            )
    images = torch.full((2, spec.channels, *spec.size), 0.5)
    try:
        made: nn.Module = known[options.type](**given)
        with torch.random.fork_rng():
            shape = made(images).shape
    # kornia raises what it likes for arguments that it cannot use.
    except Exception as error:
        raise UsageError(f"{where}: {options.type} cannot be used so: {type(error).__name__}: {error}") from error
    if shape != images.shape:
        raise UsageError(f"{where}: {options.type} changes an image's shape to {tuple(shape[1:])}.")
    return made


def _augmentations() -> dict[str, Any]:
    """kornia's image augmentations by class name."""
    try:
        import kornia.augmentation as module
    except ImportError as error:
        raise PluginError('train.augment.kornia needs kornia: pip install "nearkin[augment]".') from error
    classes = {name: value for name, value in vars(module).items() if inspect.isclass(value)}
    base = module.AugmentationBase2D
    return {name: value for name, value in classes.items() if issubclass(value, base) and not name.endswith("Base2D")}


def _tupled(value: Any) -> Any:
    """Lists as tuples, which kornia wants."""
    return tuple(_tupled(part) for part in value) if isinstance(value, list | tuple) else value
