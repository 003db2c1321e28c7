"""What a plugin's hooks and registrations must be: every mistake in one list, each with its mend."""

from __future__ import annotations

import inspect
import re
from typing import Any, get_args

from nearkin.contracts import Component, Metric, Options, StructureKind
from nearkin.errors import did_you_mean, listing
from nearkin.hookspecs import HOOK_OF_KIND, PROJECT
from nearkin.registry import CORE

PREFIX = f"{PROJECT}_"
STRUCTURES = get_args(StructureKind)
METRICS = get_args(Metric)


def hook_problems(plugin: Any) -> list[str]:
    """Every `nearkin_*` function that is no hook, is not marked, or takes the wrong arguments.

    pluggy passes over the unmarked ones, and stops at the first of the others.
    """
    named = [(name, getattr(plugin, name, None)) for name in dir(plugin)]
    return [problem for name, function in named for problem in _problems_of_hook(name, function)]


def _problems_of_hook(name: str, function: Any) -> list[str]:
    hooks = HOOK_OF_KIND.values()
    marked = getattr(function, f"{PROJECT}_impl", None) is not None
    if name not in hooks:
        is_meant = marked or (callable(function) and name.startswith(PREFIX))
        mend = _nearest_hook(name) or f" The hooks are {listing(hooks)}"
        return [f"unknown hook {name!r}.{mend}"] if is_meant else []
    if not marked:
        return [f"hook {name!r} is not marked: put @hookimpl (from nearkin) above its function"]
    arguments = list(inspect.signature(function).parameters)
    if arguments != ["register"]:
        return [f"hook {name!r} takes ({', '.join(arguments)}): its one argument must be named 'register'"]
    return []


def _nearest_hook(name: str) -> str:
    """` Did you mean ...?`, judged without the prefix, which alone makes any two hooks look alike."""
    near = did_you_mean(name.removeprefix(PREFIX), [hook.removeprefix(PREFIX) for hook in HOOK_OF_KIND.values()])
    return near.replace("'", f"'{PREFIX}", 1)


def component_problems(component: Component) -> list[str]:
    """What a registration must say to be usable, before a recipe meets it."""
    found = [_name_problem(component), *_structure_problems(component), *_metric_problems(component)]
    found += [_options_problem(component), _factory_problem(component.factory)]
    if not isinstance(component.summary, str):
        found.append("its summary must be a line of text")
    return [f"{component.kind} {component.name!r}: {problem}" for problem in found if problem]


def _name_problem(component: Component) -> str | None:
    if isinstance(component.name, str) and re.fullmatch(r"[\w.-]+", component.name):
        return None
    return "a name is a text of letters, digits and _, such as 'my_margin'"


def _structure_problems(component: Component) -> list[str]:
    said = [*component.takes, *([] if component.yields is None else [component.yields])]
    wrong = [structure for structure in said if structure not in STRUCTURES]
    if wrong:
        choices = ", ".join(map(repr, STRUCTURES))
        return [f"no such structure: {', '.join(map(repr, wrong))}. There are {choices}; takes is a tuple of them"]
    if component.kind == "sampler" and component.yields is None:
        return ["say what its batches are: yields='labels', 'pairs', 'triplets' or 'episode'"]
    if not component.takes and (component.kind == "loss" or (component.kind == "method" and not component.uses_loss)):
        return ["say which structures it takes, for instance takes=('pairs',)"]
    return []


def _metric_problems(component: Component) -> list[str]:
    wrong = [metric for metric in component.metrics if metric not in METRICS]
    choices = ", ".join(map(repr, METRICS))
    if wrong:
        return [f"no such metric: {', '.join(map(repr, wrong))}. There are {choices}; metrics is a tuple of them"]
    if component.kind == "engine" and not component.metrics:
        return [f"say which metrics it can compare by, for instance metrics=('l2',). There are {choices}"]
    return []


def _options_problem(component: Component) -> str | None:
    made_later = not isinstance(component.options_source, type)
    if made_later and component.distribution == CORE:
        return None  # Made when a recipe first asks for them, which is their point; the core's tests look at them.
    try:
        options: Any = component.options if callable(component.options_source) else None
    # A plugin's function may raise anything.
    except Exception as error:
        return f"its options cannot be made: {type(error).__name__}: {error}"
    if not isinstance(options, type) or not issubclass(options, Options):
        return "options must be a subclass of nearkin.Options"
    taken = {"type", "init_from"} if component.kind == "backbone" else {"type"}
    if clash := sorted(taken & {field.alias or name for name, field in options.model_fields.items()}):
        return f"its options have the field {listing(map(repr, clash))}, which is a key of the recipe's own. Rename it"
    try:
        options.model_json_schema()
    # pydantic raises several kinds, some of them only now: a type that is imported for the type checker alone,
    # or one that no YAML value can have.
    except Exception as error:
        said = str(error).partition("\n")[0].rstrip(".")
        return f"its options cannot be read from a recipe: {said}. Use types of plain values, imported at run time"
    return None


def _factory_problem(factory: Any) -> str | None:
    try:
        inspect.signature(factory).bind(None, None)
    except TypeError as error:
        return f"its factory must be callable as factory(options, build): {error}"
    except ValueError:
        return None  # Built-in callables have no signature to look at.
    return None
