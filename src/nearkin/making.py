"""Parts made from a recipe's selections, and held to their contracts."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, get_args

import torch
from torch import Tensor, nn

from nearkin.contracts import Backbone, Build, ClassRule, InputSpec, Loss, Method, Metric, Sampler
from nearkin.contracts.components import refuse_without
from nearkin.errors import DataError, PluginError, UsageError, blaming, listing
from nearkin.recipe.model import Selection
from nearkin.registry import Registries
from nearkin.side_by_side import SideBySide


def make(
    selection: Selection,
    build: Build,
    registries: Registries,
    *,
    wants: Sequence[str],
    problem: Callable[[Any], str] = lambda made: "",
) -> Any:
    """Run one factory; hold what it returns to its contract, naming whose it is.

    `wants`: the attributes that it must have; `problem`: what is wrong with one that has them, or nothing.
    """
    component = registries.of(selection.kind).get(selection.type)
    who = f"the {component.kind} {component.qualified}"
    with blaming(who):
        made = component.factory(selection.options, build)
    refuse_without(made, wants, who)
    if told := problem(made):
        raise PluginError(f"{who} {told}; nearkin.contracts says what it must be.")
    return made


def make_backbone(selections: Sequence[Selection], build: Build, registries: Registries) -> Backbone:
    """The backbone that is named, or those that are, side by side; errors say at which place of the list."""
    wants = ("input", "embedding_dim")
    if len(selections) == 1:
        alone: Backbone = make(selections[0], build, registries, wants=wants, problem=backbone_problem)
        return alone
    members = []
    for place, selection in enumerate(selections):
        try:
            members.append(make(selection, build, registries, wants=wants, problem=backbone_problem))
        except (DataError, PluginError, UsageError) as error:
            raise type(error)(f"backbone.{place}: {error}") from error
    return SideBySide(members)


def backbone_problem(made: Any) -> str:
    """What is wrong with a backbone, or nothing."""
    if not isinstance(made, nn.Module):
        return f"made a {type(made).__name__}, which is no torch module: its weights would neither learn nor be saved"
    if not _is_count(made.embedding_dim):
        return f"has the embedding_dim {made.embedding_dim!r}, which is no whole number above 0"
    spec = made.input
    if not isinstance(spec, InputSpec):
        return f"has a {type(spec).__name__} as its input, which is no InputSpec"
    if spec.channels not in (1, 3) or not len(spec.mean) == len(spec.std) == spec.channels or min(spec.std) <= 0:
        return f"takes {spec}: channels are 1 or 3, each with a mean and a std above 0"
    if len(spec.size) != 2 or not all(map(_is_count, spec.size)):
        return f"takes images of the size {spec.size}, which is no (height, width) in whole numbers"
    try:
        json.dumps(asdict(spec))  # as it is saved with the model
    except TypeError as error:
        return f"takes {spec}, which is not all plain numbers ({error})"
    return ""


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def make_method(selection: Selection, build: Build, registries: Registries) -> Method:
    """The method, with `build.loss` where it trains with one."""
    wants = ("metric", "class_rule", "loss", "transform", "compare")
    method: Method = make(
        selection, build, registries, wants=wants, problem=lambda made: method_problem(made, build.loss)
    )
    return method


def method_problem(made: Any, loss: Loss | None = None) -> str:
    """What is wrong with a method that was made with this loss, or nothing."""
    for name, choices in (("metric", get_args(Metric)), ("class_rule", get_args(ClassRule))):
        if (given := getattr(made, name)) not in choices:
            return f"has the {name} {given!r}, which is none of {', '.join(choices)}"
    if made.class_rule == "attention" and made.metric != "cosine":
        return f"has the class_rule attention, which compares by cosine, and the metric {made.metric}"
    if not isinstance(no_index := getattr(made, "no_index", ""), str):
        return f"has the no_index {no_index!r}: it is the reason, a sentence, or an empty text where there is an index"
    own = {id(weight) for weight in made.parameters()} if isinstance(made, nn.Module) else set()
    if isinstance(loss, nn.Module) and any(id(p) not in own for p in loss.parameters() if p.requires_grad):
        return "does not hold the loss (build.loss) as a part of its torch module, so the loss's weights never learn"
    if not isinstance(made, nn.Module) and (held := _weights_in(made)):
        return f"is no torch module and holds weights ({listing(held)}), which would neither learn nor be saved"
    return ""


def _weights_in(made: Any) -> list[str]:
    """The attributes of an object that are weights, or modules with weights."""
    kept = getattr(made, "__dict__", {}).items()
    modules = [name for name, value in kept if isinstance(value, nn.Module) and any(True for _ in value.parameters())]
    return modules + [name for name, value in kept if isinstance(value, nn.Parameter)]


def make_sampler(selection: Selection, build: Build, registries: Registries) -> Sampler:
    """The sampler over `build.labels`."""
    wants = ("batch", "steps_per_epoch")
    sampler: Sampler = make(selection, build, registries, wants=wants, problem=sampler_problem)
    return sampler


def sampler_problem(made: Any) -> str:
    """What is wrong with a sampler before it is asked for a batch, or nothing."""
    steps = made.steps_per_epoch
    whole = hasattr(steps, "__index__") and not isinstance(steps, bool)  # numpy's whole numbers too
    return "" if whole and steps >= 1 else f"has the steps_per_epoch {steps!r}, which is no whole number above 0"


def compared(method: Method, queries: Tensor, support: Tensor, codes: Tensor, who: str) -> Tensor:
    """(q, d), (s, d) transformed, (s,) codes -> (q, c) what the method's `compare` gives, or `PluginError`."""
    with blaming(who):
        scores: object = method.compare(queries, support, codes)
    wanted = (len(queries), len(torch.unique(codes)))
    given = f"a tensor of shape {tuple(scores.shape)}" if isinstance(scores, Tensor) else f"a {type(scores).__name__}"
    if not isinstance(scores, Tensor) or tuple(scores.shape) != wanted:
        raise PluginError(f"{who} gave {given} as its scores; compare gives a tensor of shape {wanted}.")
    if scores.isnan().any():
        raise PluginError(f"{who} gave NaN among its scores; higher must be closer.")
    return scores
