"""An engine chosen by name: its options checked, nothing made yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from nearkin.contracts import Component, EngineChoice
from nearkin.index.component_options import checked_options, name_of
from nearkin.registry import Registry


def chosen(component: Component, options: Mapping[str, Any]) -> EngineChoice:
    """This component with these options; `IndexCallError` names all that it does not take."""
    return EngineChoice(name_of(component), checked_options(component, options), component.factory, component.metrics)


def saved(registry: Registry, type: str, options: Mapping[str, Any]) -> EngineChoice:
    """The one that an index was saved with, which keeps the name that it was saved by: its calibration rests on it."""
    return replace(chosen(registry.saved(type), options), type=type)
