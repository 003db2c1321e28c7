"""A component's options as a caller or a folder says them, checked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from nearkin.contracts import Component, Options
from nearkin.errors import IndexCallError
from nearkin.registry import CORE


def checked_options(component: Component, options: Mapping[str, Any]) -> Options:
    """The options model filled in; `IndexCallError` names all that the component does not take."""
    try:
        return component.options.model_validate_json(json.dumps(dict(options)))
    except (ValidationError, TypeError, ValueError) as error:
        told = error.errors(include_url=False) if isinstance(error, ValidationError) else []
        problems = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in told] or [str(error)]
        raise IndexCallError(
            "\n".join(f"{component.kind} {component.name!r}: option {problem}." for problem in problems)
        ) from error


def name_of(component: Component) -> str:
    """By which a folder finds it again: a built-in's bare name, else with its distribution."""
    return component.name if component.distribution == CORE else component.qualified
