"""The whole extension surface: one hook a kind of component, each handed a `register` callback.

A plugin implements the hooks it wants, marked with `@hookimpl`, and declares `nearkin_api = 1`.
"""

from __future__ import annotations

import pluggy

from nearkin.contracts import Kind, Register

PROJECT = "nearkin"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

HOOK_OF_KIND: dict[Kind, str] = {
    "backbone": "nearkin_backbones",
    "sampler": "nearkin_samplers",
    "loss": "nearkin_losses",
    "method": "nearkin_methods",
    "evaluator": "nearkin_evaluators",
    "engine": "nearkin_engines",
    "score": "nearkin_scores",
}


@hookspec
def nearkin_backbones(register: Register) -> None:
    """Register backbones: `factory(options, build) -> Backbone`."""


@hookspec
def nearkin_samplers(register: Register) -> None:
    """Register samplers, each with the structure it `yields`: `factory(options, build) -> Sampler`."""


@hookspec
def nearkin_losses(register: Register) -> None:
    """Register losses, each with the structures it `takes`: `factory(options, build) -> Loss`."""


@hookspec
def nearkin_methods(register: Register) -> None:
    """Register methods, each with the structures it `takes`: `factory(options, build) -> Method`."""


@hookspec
def nearkin_evaluators(register: Register) -> None:
    """Register evaluators: `factory(options, build) -> Evaluator`."""


@hookspec
def nearkin_engines(register: Register) -> None:
    """Register index engines, each with the `metrics` it can compare by: `factory(options, build) -> Engine`."""


@hookspec
def nearkin_scores(register: Register) -> None:
    """Register outlier scores: `factory(options, build) -> Score`."""
