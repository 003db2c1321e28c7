"""Finds the component that a section names, and checks its options; says what to do where it is not there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

from nearkin.contracts import Comparison, Component, Kind, LossOptions, Metric, Options, StructureKind
from nearkin.errors import did_you_mean, listing
from nearkin.hookspecs import HOOK_OF_KIND
from nearkin.recipe.check import check_model
from nearkin.recipe.model import Selection
from nearkin.recipe.plain_words import describe, in_quotes, unknown_key
from nearkin.recipe.problems import KeyPath, Problems
from nearkin.registry import PluginStatus, Registries, Registry


@dataclass(frozen=True)
class Chosen:
    """A section whose component is there; `selection` is `None` where its options are wrong."""

    component: Component
    selection: Selection | None


def choose(
    kind: Kind,
    data: Any,
    path: KeyPath,
    registries: Registries,
    problems: Problems,
    *,
    options_at: KeyPath | None = None,
    beside: Sequence[str] = (),
) -> Chosen | None:
    """Read `{type: NAME, **options}` at `path`; `options_at`: where the options are written, if not there.

    `beside`: keys that the section may have too, which were taken out of `data`.
    """
    name = _type_name(kind, data, path, registries, problems, beside)
    component = _find(kind, name, (*path, "type"), registries, problems) if name is not None else None
    if name is None or component is None:
        return None
    rest = {key: value for key, value in data.items() if key != "type"}
    options = _check_options(component, rest, path if options_at is None else options_at, problems, beside)
    return Chosen(component, Selection(kind, name, options) if options is not None else None)


def _type_name(
    kind: Kind, data: Any, path: KeyPath, registries: Registries, problems: Problems, beside: Sequence[str]
) -> str | None:
    example = f"{{type: {next(iter(registries.of(kind).names()), 'NAME')}}}"
    if not isinstance(data, dict):
        mend = f"Write {{type: {data}}}." if isinstance(data, str) else f"Write it as in {example}."
        problems.add(path, f"wants a section that names {a(kind)}, not {describe(data)}. {mend}")
    elif "type" not in data and (mistyped := [key for key in data if did_you_mean(key, beside)]):
        problems.add((*path, mistyped[0]), unknown_key(mistyped[0], beside), at_key=True)
    elif "type" not in data:
        names = listing(registries.of(kind).names())
        problems.add((*path, "type"), f"missing: name {a(kind)}, as in {example}. There are {names or 'none'}.")
    elif not isinstance(data["type"], str):
        type_path = (*path, "type")
        scalar = not isinstance(data["type"], list | dict)
        written = problems.spots[type_path].written if type_path in problems.spots else None
        wants = f"wants the name of {a(kind)}, not {describe(data['type'])}."
        problems.add(type_path, in_quotes(type_path, data["type"], written) if scalar else wants)
    else:
        return str(data["type"])
    return None


def a(kind: Kind) -> str:
    """The kind with its article."""
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def _find(kind: Kind, name: str, path: KeyPath, registries: Registries, problems: Problems) -> Component | None:
    registry = registries.of(kind)
    found = [component for component in registry if component.qualified == name] or registry.named(name)
    if len(found) == 1:
        return found[0]
    if found:
        problems.add(path, registry.ambiguity(found), missing_plugin=True)
    else:
        message, missing = _unknown(registry, name, registries.broken)
        problems.add(path, message, missing_plugin=missing)
    return None


def _unknown(registry: Registry, name: str, broken: tuple[PluginStatus, ...]) -> tuple[str, bool]:
    """What to say of a name that nothing bears, and whether a plugin is what is missing."""
    kind = registry.kind
    if reason := registry.why_left_out(name):
        return f"the {kind} {name!r} is not offered: {reason}. {_all_names(kind)}", False
    near = did_you_mean(name, [*registry.names(), *(component.qualified for component in registry)])
    suspects = [plugin for plugin in broken if _may_hold(plugin, name)]
    told = "".join(f" It may be in a broken plugin: {_reason(plugin)}." for plugin in suspects or broken)
    if near and not suspects:
        return f"unknown {kind} {name!r}.{near} {_all_names(kind)}{told}", False
    there_are = f"Registered: {listing(registry.names())}." if len(registry) else f"No {kind} is registered."
    mend = "Install the plugin that brings it, or pass --plugin FILE; 'nearkin plugins' shows what is installed."
    return f"unknown {kind} {name!r}.{near} {there_are}{told} {mend}", True


def _all_names(kind: Kind) -> str:
    return f"'nearkin components {HOOK_OF_KIND[kind].removeprefix('nearkin_')}' lists all."


def _reason(plugin: PluginStatus) -> str:
    return f"{plugin.name} of {plugin.distribution} {plugin.version} ({plugin.problems[0]})"


def _may_hold(plugin: PluginStatus, name: str) -> bool:
    """Whether a plugin's name or distribution contains the wanted one, or a part of `distribution:name`."""
    own = _folded(f"{plugin.name} {plugin.distribution}")
    return any(_folded(part) in own for part in name.split(":") if part)


def _folded(name: str) -> str:
    return name.lower().replace("_", "-")


def _check_options(
    component: Component, data: dict[str, Any], path: KeyPath, problems: Problems, beside: Sequence[str]
) -> Options | None:
    """The options. A plugin whose own checks break, or whose defaults cannot be written out, is told apart."""
    try:
        options = check_model(component.options, data, path, problems, beside=beside)
        wrong = _wrong_sayings(options) if isinstance(options, LossOptions) else ""
    # A plugin's validators may raise anything; whichever it is, the recipe's other problems are told too.
    except Exception as error:
        message = f"{component.qualified} broke while it checked its options: {type(error).__name__}: {error}."
        problems.add(path, f"{message} Its plugin must mend that.", missing_plugin=True)
        return None
    if not wrong and options is not None and not _reads_back(options):
        wrong = "do not read back the same from a written recipe"
    if wrong:
        message = f"the options of {component.qualified} {wrong}."
        problems.add(path, f"{message} Its plugin must mend that.", missing_plugin=True)
        return None
    return options


def _wrong_sayings(options: LossOptions) -> str:
    """What these options may not say of their loss, or nothing."""
    compares, mines, learns = options.comparison(), options.mining_key(), options.learns()
    if compares is not None and not isinstance(compares, Comparison):
        return f"say {compares!r} of how it compares, which is no Comparison"
    if compares and (compares.metric not in (None, *get_args(Metric)) or compares.normalize not in (True, False, "l1")):
        return f"say that it compares by {compares}, and no metric or normalize is called so"
    keys = [field.alias or name for name, field in type(options).model_fields.items()]
    if mines is not None and mines not in keys:
        return f"say that {mines!r} is the key by which it mines, and have no such key"
    idle = {options.idle_key(structure) for structure in get_args(StructureKind)} - {None}
    if unknown := idle - {*keys}:
        return f"say that {unknown.pop()!r} is idle, and have no such key"
    if learns not in (None, True, False):
        return f"say {learns!r} of whether it learns: True, False, or None"
    return ""


def _reads_back(options: Options) -> bool:
    """Whether a run's resolved recipe would give these options again; found out now, not when the run is opened."""
    try:
        text = json.dumps(options.model_dump(mode="json", by_alias=True), allow_nan=False)
        return bool(type(options).model_validate_json(text) == options)
    # Serialisers are the plugin's own too.
    except Exception:
        return False
