"""One of timm's models without its classifier: images to pooled features."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any, cast

import timm
import torch
from timm.data import resolve_model_data_config
from torch import Tensor, nn

from nearkin.contracts import InputSpec
from nearkin_timm import TimmOptions


class TimmBackbone(nn.Module):
    """(b, channels, h, w) -> (b, d): colour normalised as the model's own weights want it, gray in [0, 1]."""

    mean: Tensor
    std: Tensor

    def __init__(self, options: TimmOptions, *, weights_follow: bool) -> None:
        super().__init__()
        self.net = made(options, pretrained=options.pretrained and not weights_follow)
        config = resolve_model_data_config(self.net)
        self.input = input_of(config, options)
        for name in ("mean", "std"):
            self.register_buffer(name, torch.tensor(config[name]).view(1, -1, 1, 1), persistent=False)
        # Some models project their features once more before the classifier.
        self.embedding_dim = int(getattr(self.net, "head_hidden_size", None) or self.net.num_features)
        norms = [module for module in self.net.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
        self._frozen = [self.net] if options.freeze else norms if options.frozen_batch_norm else []
        for module in self._frozen:
            module.requires_grad_(False)

    @property
    def trunk(self) -> nn.Module:
        """The whole model: there is no projection head."""
        return cast(nn.Module, self.net)

    def train(self, mode: bool = True) -> TimmBackbone:
        """Training mode, in which what is frozen stays as in evaluation."""
        super().train(mode)
        for module in self._frozen:
            module.eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        """(b, channels, h, w) -> (b, d), the features that timm's classifier would see."""
        # Three channels of one gray, each normalised by its own mean and std. One channel with summed weights would
        # give something else, as no one mean and std stands for three.
        colour = (images - self.mean) / self.std if self.input.channels == 1 else images
        return cast(Tensor, self.net(colour))


def made(options: TimmOptions, *, pretrained: bool) -> Any:
    """timm's model; `ValueError` with the nearest names where timm has none of this name."""
    if not timm.is_model(options.model):
        near = get_close_matches(options.model, timm.list_models(), n=5)
        raise ValueError(f"timm has no model {options.model!r}. Near it: {', '.join(near) or 'none'}.")
    size = {} if options.image_size is None or not _takes_size(options.model) else {"img_size": options.image_size}
    return timm.create_model(options.model, pretrained=pretrained, num_classes=0, **size)


def _takes_size(model: str) -> bool:
    """Whether it is built for one size, as timm says of most transformers; convolutional networks take any."""
    return bool(getattr(timm.get_pretrained_cfg(model), "fixed_input_size", False))


def input_of(config: dict[str, Any], options: TimmOptions) -> InputSpec:
    """The preprocessing that goes with the weights; gray is normalised by the backbone itself."""
    height, width = (options.image_size, options.image_size) if options.image_size else config["input_size"][1:]
    gray = options.channels == 1
    return InputSpec(
        size=(int(height), int(width)),
        channels=options.channels,
        mean=(0.0,) if gray else tuple(config["mean"]),
        std=(1.0,) if gray else tuple(config["std"]),
        interpolation="bicubic" if config["interpolation"] == "bicubic" else "bilinear",
        crop=float(config["crop_pct"]),
    )
