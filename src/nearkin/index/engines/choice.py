"""An engine chosen by name: its options checked, nothing made yet."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from nearkin.contracts import Component, EngineChoice
from nearkin.errors import IndexCallError
from nearkin.registry import CORE


def chosen(component: Component, options: Mapping[str, Any]) -> EngineChoice:
    """This component with these options; `IndexCallError` names all that it does not take."""
    try:
        checked = component.options.model_validate_json(json.dumps(dict(options)))
    except (ValidationError, TypeError, ValueError) as error:
        told = error.errors(include_url=False) if isinstance(error, ValidationError) else []
        problems = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in told] or [str(error)]
        raise IndexCallError(
            "\n".join(f"engine {component.name!r}: option {problem}." for problem in problems)
        ) from error
    name = component.name if component.distribution == CORE else component.qualified
    return EngineChoice(name, checked, component.factory, component.metrics)
