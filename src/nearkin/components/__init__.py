"""What ships built in, entering through the same hooks as everyone's plugins."""

from __future__ import annotations

from nearkin.components.backbones import register_backbones
from nearkin.components.engines import register_engines
from nearkin.components.evaluators import register_evaluators
from nearkin.components.losses import register_losses
from nearkin.components.methods import register_methods
from nearkin.components.samplers import register_samplers
from nearkin.components.scores import register_scores
from nearkin.contracts import Register
from nearkin.hookspecs import hookimpl

nearkin_api = 1


@hookimpl
def nearkin_backbones(register: Register) -> None:
    """The built-in backbones."""
    register_backbones(register)


@hookimpl
def nearkin_samplers(register: Register) -> None:
    """The built-in samplers."""
    register_samplers(register)


@hookimpl
def nearkin_losses(register: Register) -> None:
    """The built-in losses."""
    register_losses(register)


@hookimpl
def nearkin_methods(register: Register) -> None:
    """The built-in methods."""
    register_methods(register)


@hookimpl
def nearkin_evaluators(register: Register) -> None:
    """The built-in evaluators."""
    register_evaluators(register)


@hookimpl
def nearkin_engines(register: Register) -> None:
    """The built-in engines."""
    register_engines(register)


@hookimpl
def nearkin_scores(register: Register) -> None:
    """The built-in outlier scores."""
    register_scores(register)
