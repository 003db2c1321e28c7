"""The commands that only look: validate, schema, components, plugins, recipes, runs. None imports torch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nearkin.cli import show
from nearkin.contracts import Component, Kind, PartOptions
from nearkin.errors import UsageError, did_you_mean
from nearkin.hookspecs import HOOK_OF_KIND
from nearkin.plugins import load_registries
from nearkin.recipe import json_schema, read_recipe, resolved
from nearkin.recipe.nested import TAG, parts_of, tags_of
from nearkin.recipe.shipped import find_recipe, shipped_recipes
from nearkin.registry import Registries


def validate(recipe: str, overrides: Sequence[str], *, plugins: Sequence[Path], as_json: bool) -> None:
    """`nearkin validate`."""
    path = find_recipe(recipe)
    read = read_recipe(path, load_registries(files=plugins), overrides)
    if as_json:
        show.print_json(resolved(read))
    else:
        print(f"{path}: valid")


def schema(*, plugins: Sequence[Path]) -> None:
    """`nearkin schema`."""
    show.print_json(json_schema(load_registries(files=plugins)))


def components(kind: str | None, *, plugins: Sequence[Path], as_json: bool) -> None:
    """`nearkin components`: every component, and the parts that their sections name."""
    found = listed(load_registries(files=plugins), kind)
    if as_json:
        show.print_json(found)
        return
    rows = [[c["kind"], c["name"], c["from"], c["summary"], _options_text(c["options"])] for c in found]
    show.print_table(["kind", "name", "from", "what it is", "options"], rows)


def listed(registries: Registries, asked: str | None) -> list[dict[str, Any]]:
    """The components and parts of the kind that was asked for, singular or plural; of all where none was."""
    if kinds := _kinds(asked):
        return [describe(component) for kind in kinds for component in registries.of(kind)] + (
            [] if asked else described_parts(registries)
        )
    parts = described_parts(registries)
    found = [part for part in parts if asked in (part["kind"], f"{part['kind']}s")]
    if not found:
        names = [*(hook.removeprefix("nearkin_") for hook in HOOK_OF_KIND.values())]
        names += dict.fromkeys(f"{part['kind']}s" for part in parts)
        raise UsageError(f"no such kind: {asked!r}.{did_you_mean(str(asked), names)} There are {', '.join(names)}.")
    return found


def _kinds(asked: str | None) -> list[Kind]:
    plurals = {kind: HOOK_OF_KIND[kind].removeprefix("nearkin_") for kind in HOOK_OF_KIND}
    return [kind for kind in HOOK_OF_KIND if asked is None or asked in (kind, f"{kind}s", plurals[kind])]


def describe(component: Component) -> dict[str, Any]:
    """A component and its options as plain data."""
    return {
        "kind": component.kind,
        "name": component.name,
        "from": f"{component.distribution} {component.version}",
        "summary": component.summary,
        "yields": component.yields,
        "takes": list(component.takes),
        "metrics": list(component.metrics),
        "options": component.options.model_json_schema().get("properties", {}),
    }


def described_parts(registries: Registries) -> list[dict[str, Any]]:
    """The distances, reducers, miners, ... that sections of options name, each once, with most of its options."""
    found: dict[tuple[str, str], tuple[Component, type[PartOptions]]] = {}
    for component in (one for registry in registries.all() for one in registry):
        for part in parts_of(component.options):
            key = part.kind, str(tags_of(part)[0])
            if key not in found or len(part.model_fields) > len(found[key][1].model_fields):
                found[key] = component, part
    return [_described_part(*key, *found[key]) for key in sorted(found)]


def _described_part(kind: str, name: str, component: Component, part: type[PartOptions]) -> dict[str, Any]:
    schema = part.model_json_schema()
    return {
        "kind": kind,
        "name": name,
        "from": f"{component.distribution} {component.version}",
        "summary": (part.__doc__ or "").partition("\n")[0],
        "options": {key: said for key, said in schema["properties"].items() if key != TAG},
        "required": [key for key in schema["required"] if key != TAG],
    }


def _options_text(properties: dict[str, Any]) -> str:
    return ", ".join(
        f"{name}={_short(said['default'])}" if "default" in said else name for name, said in properties.items()
    )


def _short(default: Any) -> Any:
    """A part by its name; all else as it is."""
    return default.get(TAG, default) if isinstance(default, dict) else default


def plugins(*, plugins: Sequence[Path], as_json: bool) -> None:
    """`nearkin plugins`."""
    registries = load_registries(files=plugins)
    if as_json:
        listed = [{**asdict(plugin), "state": _state(plugin.broken)} for plugin in registries.plugins]
        show.print_json({"plugins": listed, "conflicts": registries.conflicts()})
        return
    rows = [[p.name, p.distribution, p.version, _state(p.broken), ", ".join(p.components)] for p in registries.plugins]
    show.print_table(["plugin", "distribution", "version", "state", "components"], rows)
    _print_what_is_wrong(registries)


def _state(broken: bool) -> str:
    return "broken" if broken else "ok"


def _print_what_is_wrong(registries: Registries) -> None:
    """In full, below the table: a table would cut it off on a narrow terminal."""
    for plugin in registries.broken:
        print(f"broken: {plugin.name} of {plugin.distribution}: {'; '.join(plugin.problems)}")
    for conflict in registries.conflicts():
        print(f"conflict: {conflict}")


def recipes(*, as_json: bool) -> None:
    """`nearkin recipes list`."""
    about = {name: _about(path) for name, path in shipped_recipes().items()}
    if as_json:
        show.print_json(about)
    else:
        show.print_table(["recipe", "what it does"], list(about.items()))


def _about(path: Path) -> str:
    """The first sentence of its comment, below the line that is the command."""
    comments = [line[1:].strip() for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
    return re.split(r"(?<=\.)\s", " ".join(comments[1:]), maxsplit=1)[0]


def show_recipe(name: str) -> None:
    """`nearkin recipes show`."""
    print(_existing(name).read_text(encoding="utf-8"), end="")


def copy_recipe(name: str, target: Path) -> None:
    """`nearkin recipes copy`."""
    source = _existing(name)
    path = target / source.name if target.is_dir() else target
    if path.exists():
        raise UsageError(f"{path}: exists already; name another file, or remove it first.")
    path.write_bytes(source.read_bytes())
    print(path)


def _existing(name: str) -> Path:
    path = find_recipe(name)
    if not path.is_file():
        raise UsageError(f"{path}: there is no such recipe. 'nearkin recipes list' lists those that ship.")
    return path


def runs(root: Path, *, as_json: bool) -> None:
    """`nearkin runs list`."""
    from nearkin.runs import list_runs

    found = list_runs(root)
    if as_json:
        show.print_json(found)
        return
    if not found:
        show.message(f"no runs in {root}")
        return
    rows = [[r["path"], r["recipe"], r["date"] or "", r["state"] or "", _headline_text(r)] for r in found]
    show.print_table(["run", "recipe", "started", "state", "figures"], rows)


def _headline_text(run: dict[str, Any]) -> str:
    """The first figure of each evaluator; `--json` has them all."""
    return ", ".join(f"{name} {run['figures'][name]:.3f}" for name in run["first"])
