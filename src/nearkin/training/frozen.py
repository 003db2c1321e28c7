"""Whether a backbone is frozen, so that embedding an image once is enough for a whole training."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd


def always_the_same(backbone: nn.Module) -> bool:
    """No parameter learns, no batch norm takes statistics, nothing is dropped: in the mode that it is in."""
    if any(parameter.requires_grad for parameter in backbone.parameters()):
        return False
    return not any(_changes(module) for module in backbone.modules() if module.training)


def _changes(module: nn.Module) -> bool:
    """Whether a module gives other outputs in training mode. What draws at random without saying so is not known."""
    return isinstance(module, _BatchNorm) or (isinstance(module, _DropoutNd) and module.p > 0)
