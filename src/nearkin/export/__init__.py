"""Export: a run's network for other runtimes, and a run for other machines."""

from __future__ import annotations

from nearkin.export.graphs import export_onnx, export_torch
from nearkin.export.hub import pull, push

__all__ = ["export_onnx", "export_torch", "pull", "push"]
