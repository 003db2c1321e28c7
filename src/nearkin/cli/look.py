"""The commands that only look: validate, schema, components, plugins, recipes, runs. None imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nearkin.cli import show
from nearkin.contracts import Component, Kind
from nearkin.errors import UsageError, did_you_mean
from nearkin.hookspecs import HOOK_OF_KIND
from nearkin.plugins import load_registries
from nearkin.recipe import json_schema, read_recipe, resolved
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
    """`nearkin components`."""
    registries = load_registries(files=plugins)
    found = [describe(component) for one in _kinds(kind) for component in registries.of(one)]
    if as_json:
        show.print_json(found)
        return
    rows = [[c["kind"], c["name"], c["from"], c["summary"], _options_text(c["options"])] for c in found]
    show.print_table(["kind", "name", "from", "what it is", "options"], rows)


def _kinds(asked: str | None) -> list[Kind]:
    if asked is None:
        return list(HOOK_OF_KIND)
    found = [kind for kind in HOOK_OF_KIND if asked in (kind, f"{kind}s", HOOK_OF_KIND[kind].removeprefix("nearkin_"))]
    if not found:
        plurals = [hook.removeprefix("nearkin_") for hook in HOOK_OF_KIND.values()]
        raise UsageError(f"no such kind: {asked!r}.{did_you_mean(asked, plurals)} There are {', '.join(plurals)}.")
    return found


def describe(component: Component) -> dict[str, Any]:
    """A component and its options as plain data."""
    properties = component.options.model_json_schema().get("properties", {})
    return {
        "kind": component.kind,
        "name": component.name,
        "from": f"{component.distribution} {component.version}",
        "summary": component.summary,
        "yields": component.yields,
        "takes": list(component.takes),
        "metrics": list(component.metrics),
        "options": properties,
    }


def _options_text(properties: dict[str, Any]) -> str:
    return ", ".join(f"{name}={said['default']}" if "default" in said else name for name, said in properties.items())


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
    """The second comment line: the first is the command."""
    comments = [line[1:].strip() for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
    return comments[1] if len(comments) > 1 else ""


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
    from nearkin.run import list_runs

    found = list_runs(root)
    if as_json:
        show.print_json(found)
        return
    if not found:
        show.message(f"no runs in {root}")
        return
    rows = [[r["path"], r["recipe"], r["date"] or "", r["state"] or "", _headline_text(r["figures"])] for r in found]
    show.print_table(["run", "recipe", "started", "state", "figures"], rows)


def _headline_text(figures: dict[str, float]) -> str:
    wanted = [name for name in figures if name.startswith("exam_") or name in ("cluster_accuracy", "unknown_auroc")]
    return ", ".join(f"{name} {figures[name]:.3f}" for name in wanted)
