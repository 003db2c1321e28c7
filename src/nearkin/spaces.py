"""The space of the outlier score: what a backbone's stages say of an image, with its weights of now or of before."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn

from nearkin.contracts import Backbone
from nearkin.errors import DataError, PluginError
from nearkin.modes import evaluating
from nearkin.recipe.space import FeaturesPart, SpacePart
from nearkin.side_by_side import staged


class OutlierSpace(nn.Module):
    """Parts side by side. Backbones as they were are kept in it, so that a run opens elsewhere; they never learn."""

    def __init__(self, parts: Sequence[SpacePart], backbone: Backbone) -> None:
        super().__init__()
        self.parts = tuple(parts)
        self._stages = {name: self._wanted(name) for name in ("trained", "initial", "pretrained")}
        _check_stages(self.parts, backbone)
        kept = [name for name in ("initial", "pretrained") if self._stages[name]]
        self.kept = nn.ModuleDict({name: copy.deepcopy(staged(backbone)) for name in kept})
        self.kept.requires_grad_(False).eval()
        self._widths = self._measured(backbone)

    def _wanted(self, weights: str) -> tuple[int, ...]:
        stages = {stage for part in self.parts if _of(part) == weights for stage in cast(FeaturesPart, part).stages}
        return tuple(sorted(stages))

    def begins(self, backbone: Backbone) -> None:
        """This is the backbone before the first step."""
        if "initial" in self.kept:
            self.kept["initial"].load_state_dict(staged(backbone).state_dict())

    def train(self, mode: bool = True) -> OutlierSpace:
        """What is kept stays as in evaluation."""
        super().train(mode)
        self.kept.eval()
        return self

    def dims(self, embedding_dim: int) -> tuple[int, ...]:
        """How wide each part is."""
        return tuple(embedding_dim if width is None else width for width in self._widths)

    def forward(self, images: Tensor, backbone: Backbone) -> tuple[Tensor, list[Tensor | None]]:
        """(b, channels, h, w) normalised -> (b, d) the backbone's own output, and (b, e) a part.

        `None` for a part that is the embedding, which the method makes of the first.
        """
        with tapped(backbone, self._stages["trained"]) as now:
            raw = backbone(images)
        found = {"trained": now}
        for name, module in self.kept.items():
            with tapped(cast(Backbone, module), self._stages[name]) as found[name]:
                module(images)
        return raw, [_side_by_side(part, found) for part in self.parts]

    @torch.no_grad()
    def _measured(self, backbone: Backbone) -> list[int | None]:
        spec = backbone.input
        with evaluating(cast(nn.Module, backbone)):
            _, parts = self(torch.zeros(1, spec.channels, *spec.size), backbone)
        return [None if part is None else part.shape[1] for part in parts]


def _of(part: SpacePart) -> str:
    return part.weights if isinstance(part, FeaturesPart) else ""


def _side_by_side(part: SpacePart, found: Mapping[str, Mapping[int, Tensor]]) -> Tensor | None:
    if not isinstance(part, FeaturesPart):
        return None
    return torch.cat([found[part.weights][stage] for stage in part.stages], dim=1)


def _check_stages(parts: Sequence[SpacePart], backbone: Backbone) -> None:
    """`DataError` where a stage is named that the backbone does not have."""
    wanted = {stage for part in parts if isinstance(part, FeaturesPart) for stage in part.stages}
    have = len(getattr(backbone, "stages", ()))
    if wanted and not have:
        raise DataError("unknown.space: this backbone names no stages. Use another backbone, or {type: embedding}.")
    if wanted and max(wanted) > have:
        raise DataError(f"unknown.space: stage {max(wanted)}, but this backbone has {have}, counted from 1.")


@contextmanager
def tapped(backbone: Backbone, stages: Sequence[int]) -> Iterator[dict[int, Tensor]]:
    """What these stages give while the backbone runs inside, in this thread alone: number -> (b, channels)."""
    found: dict[int, Tensor] = {}
    thread = threading.get_ident()

    def tap(stage: int) -> Any:
        def keep(module: nn.Module, inputs: Any, output: Any) -> None:
            if threading.get_ident() == thread:
                found[stage] = pooled(output, stage)

        return keep

    modules = backbone.stages  # type: ignore[attr-defined]  # checked when the model was built
    handles = [modules[stage - 1].register_forward_hook(tap(stage)) for stage in stages]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def pooled(output: Any, stage: int) -> Tensor:
    """(b, channels, h, w) or (b, tokens, channels) averaged over places, or (b, channels) as it is; float32."""
    if not isinstance(output, Tensor) or output.ndim not in (2, 3, 4):
        given = f"shape {tuple(output.shape)}" if isinstance(output, Tensor) else type(output).__name__
        raise PluginError(f"stage {stage} of the backbone gave {given}; a stage gives (b, channels, h, w) or (b, d).")
    places = {2: (), 3: (1,), 4: (2, 3)}[output.ndim]
    return (output.mean(dim=places) if places else output).float()
