"""What of a backbone is frozen, so that once an image is enough for a whole training."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from nearkin.halves import first_half
from nearkin.model import Model


def frozen_half(model: Model) -> Callable[[Tensor], Tensor] | None:
    """(b, channels, h, w) in [0, 1] -> the (b, f) that `Model.forward` takes instead. `None`: they may change."""
    module, features = first_half(model.backbone)
    return (lambda images: features((images - model.mean) / model.std)) if always_the_same(module) else None


def always_the_same(backbone: nn.Module) -> bool:
    """No parameter learns, no batch norm takes statistics, nothing is dropped: in the mode that it is in."""
    if any(parameter.requires_grad for parameter in backbone.parameters()):
        return False
    return not any(_changes(module) for module in backbone.modules() if module.training)


def _changes(module: nn.Module) -> bool:
    """Whether a module gives other outputs in training mode. What draws at random without saying so is not known."""
    return isinstance(module, _BatchNorm) or (isinstance(module, _DropoutNd) and module.p > 0)
