"""Plugins: found, checked and called one by one, so that a broken one is named and breaks nothing else."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from nearkin import components, hookspecs
from nearkin.arguments import several
from nearkin.components.losses.exclusions import CLASSES
from nearkin.contracts import (
    API_VERSION,
    Component,
    EngineChoice,
    Factory,
    Kind,
    Metric,
    Options,
    OptionsSource,
    Register,
    ScoreChoice,
    StructureKind,
)
from nearkin.errors import PluginError
from nearkin.hookspecs import HOOK_OF_KIND, PROJECT
from nearkin.plugin_checks import component_problems, hook_problems
from nearkin.registry import CORE, NameTaken, PluginStatus, Registries

GROUP = "nearkin"
"""The entry-point group."""


class PluginProblem(PluginError):
    """Why one plugin cannot be used. Several reasons may be given."""

    def __init__(self, *reasons: str) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


def load_registries(*plugins: Any, entry_points: bool = True, files: Iterable[Path | str] = ()) -> Registries:
    """The built-ins, every installed plugin, then the modules (or objects) and files given.

    A broken installed plugin is recorded in `Registries.plugins`; a broken one of those given raises `PluginError`.
    """
    registries = Registries()
    _add(registries, components, name="built-in", distribution=CORE, version=_core_version())
    registries.loss.left_out.update(CLASSES)
    loaded = _add_installed(registries) if entry_points else []
    for plugin in plugins:
        # A module that is installed and handed over as well is one plugin, not two that compete for its names.
        if not any(plugin is known for known in loaded):
            _add_given(registries, plugin, str(getattr(plugin, "__name__", type(plugin).__name__)))
    for file in several(files, "plugin_files"):
        _add_given(registries, _import_file(Path(file)), Path(file).name)
    return registries


def engine(
    type: str, *, plugins: Iterable[Any] = (), plugin_files: Iterable[Path | str] = (), **options: Any
) -> EngineChoice:
    """An index engine by name, built in or a plugin's, for `Index(..., engine=nearkin.engine("flat"))`."""
    return engine_of(load_registries(*several(plugins, "plugins"), files=plugin_files), type, options)


def engine_of(registries: Registries, type: str, options: Mapping[str, Any]) -> EngineChoice:
    """The registered engine of that name, with these options."""
    from nearkin.index.engines.choice import chosen

    return chosen(registries.engine.get(type), options)


def score(
    type: str, *, plugins: Iterable[Any] = (), plugin_files: Iterable[Path | str] = (), **options: Any
) -> ScoreChoice:
    """An outlier score by name, built in or a plugin's, for `Index(..., score=nearkin.score("knn", k=3))`."""
    return score_of(load_registries(*several(plugins, "plugins"), files=plugin_files), type, options)


def score_of(registries: Registries, type: str, options: Mapping[str, Any]) -> ScoreChoice:
    """The registered outlier score of that name, with these options."""
    from nearkin.index.scores.choice import chosen

    return chosen(registries.score.get(type), options)


def _core_version() -> str:
    from nearkin import __version__

    return __version__


# ---------------------------------------------------------------------------------------- where they come from


def _add_installed(registries: Registries) -> list[Any]:
    """Add every installed plugin, broken ones as a status alone; the modules of those that work."""
    found = _installed()
    loaded = []
    for entry_point, distribution, version in found:
        owners = dict.fromkeys(owner for other, owner, _ in found if other.name == entry_point.name)
        try:
            plugin = _load(entry_point, distribution, list(owners))
            _add(registries, plugin, name=entry_point.name, distribution=distribution, version=version)
            loaded.append(plugin)
        except PluginProblem as problem:
            registries.plugins.append(PluginStatus(entry_point.name, distribution, version, problem.reasons))
    return loaded


def _installed() -> list[tuple[EntryPoint, str, str]]:
    """Entry point, distribution, version of each, in an order that does not depend on the file system."""
    found: dict[tuple[str, str, str], tuple[EntryPoint, str, str]] = {}
    for entry_point in entry_points(group=GROUP):
        distribution, version = _distribution(entry_point)
        # pip sets an old version aside as `~ame` while it upgrades, and may leave it there: that is no second plugin.
        found.setdefault((distribution, entry_point.name, entry_point.value), (entry_point, distribution, version))
    return [found[key] for key in sorted(found)]


def _distribution(entry_point: EntryPoint) -> tuple[str, str]:
    """(name, version) of the distribution that declares it."""
    declared_by: Any = entry_point.dist
    try:
        found = declared_by.name, declared_by.version
    # An uninstallation cut short leaves entry points without the file that says whose they are.
    # What reading it raises differs between Python versions.
    except Exception:
        found = None, None
    return found if all(found) else (f"(the unnamed distribution of {entry_point.value})", "?")


def _load(entry_point: EntryPoint, distribution: str, owners: Sequence[str]) -> Any:
    """Import it. Of plugins that share a name none is: which one comes first must not decide what a recipe means."""
    if len(owners) > 1:
        both = " and ".join(owners)
        raise PluginProblem(f"the plugin name {entry_point.name!r} is used by {both}, so none is loaded. Uninstall one")
    with _blamed("cannot be imported:", f"Reinstall or upgrade {distribution}"):
        return entry_point.load()


def _add_given(registries: Registries, plugin: Any, name: str) -> None:
    """A plugin the user handed over: its problems are theirs to see now."""
    if any(known.distribution == name for known in registries.plugins if not known.broken):
        raise PluginError(f"two plugins are called {name}. Give one of them once, or another name.")
    try:
        _add(registries, plugin, name=name, distribution=name, version=str(getattr(plugin, "__version__", "local")))
    except PluginProblem as problem:
        raise PluginError(f"plugin {name}: {problem}.") from problem


def _import_file(path: Path) -> ModuleType:
    """Import a plugin from a single file, under a name of its own."""
    if not path.is_file():
        raise PluginError(f"plugin {path}: there is no such file.")
    # Two files of one name in two folders are two modules.
    name = f"nearkin_plugin_{path.stem}_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise PluginError(f"plugin {path}: not a Python file; its name must end in .py.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with _blamed("cannot be imported:", "Mend the file; nearkin --debug ... shows the line"):
            spec.loader.exec_module(module)
    except PluginProblem as problem:
        del sys.modules[name]
        raise PluginError(f"plugin {path}: {problem}.") from problem
    return module


# ---------------------------------------------------------------------------------------------- how they come in


def _add(registries: Registries, plugin: Any, *, name: str, distribution: str, version: str) -> None:
    """Check one plugin and let it register, all or nothing. Raises `PluginProblem` with every reason."""
    visit = _Visit(registries, distribution, version)
    try:
        with _blamed("cannot be looked at:", f"Report it to {distribution}"):
            manager = visit.check(plugin)
        visit.call_hooks(manager)
    except PluginProblem:
        visit.undo()
        raise
    brought = tuple(f"{component.kind} {component.name}" for component in visit.brought)
    registries.plugins.append(PluginStatus(name, distribution, version, components=brought))


@dataclass
class _Visit:
    """One plugin being let in: what it registered, and what is wrong with that, until all is known."""

    registries: Registries
    distribution: str
    version: str
    brought: list[Component] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def check(self, plugin: Any) -> pluggy.PluginManager:
        """A manager of this plugin alone, once the version it was made for and its hooks' names and arguments hold."""
        declared = getattr(plugin, "nearkin_api", None)
        if declared is None:
            raise PluginProblem(f"declares no nearkin_api; write 'nearkin_api = {API_VERSION}' in it, or upgrade it")
        if declared != API_VERSION:
            raise PluginProblem(
                f"was made for nearkin_api {declared!r}, and this nearkin has nearkin_api {API_VERSION}. "
                f"Install a {self.distribution} made for {API_VERSION}, or the nearkin it was made for"
            )
        self._raise_any(hook_problems(plugin))
        manager = pluggy.PluginManager(PROJECT)
        manager.add_hookspecs(hookspecs)
        manager.register(plugin, name=self.distribution)
        return manager

    def call_hooks(self, manager: pluggy.PluginManager) -> None:
        """Let it register, hook by hook."""
        for kind, hook in HOOK_OF_KIND.items():
            try:
                with _blamed(f"its hook {hook} raised", f"Report it to {self.distribution}"):
                    getattr(manager.hook, hook)(register=self._register_for(kind))
            except PluginProblem as problem:
                self.problems += problem.reasons
        self._raise_any(self.problems)

    def undo(self) -> None:
        """Take back all that it registered."""
        for component in self.brought:
            self.registries.of(component.kind).discard(component)

    def _raise_any(self, problems: Sequence[str]) -> None:
        if problems:
            raise PluginProblem(*problems)

    def _register_for(self, kind: Kind) -> Register:
        """The callback a hook gets. It collects what is wrong, so that one look shows every mistake of a plugin."""

        def register(
            name: str,
            factory: Factory,
            *,
            summary: str,
            options: OptionsSource = Options,
            yields: StructureKind | None = None,
            takes: Sequence[StructureKind] = (),
            uses_loss: bool = False,
            metrics: Sequence[Metric] = (),
        ) -> None:
            """One component; what is wrong with it is told when the plugin has registered all."""
            made = Component(
                kind,
                name,
                self.distribution,
                self.version,
                summary,
                options,
                factory,
                yields=yields,
                takes=tuple(takes),
                uses_loss=uses_loss,
                metrics=tuple(metrics),
            )
            problems = component_problems(made)
            self.problems += problems
            if not problems:
                self._bind(made)

        return register

    def _bind(self, component: Component) -> None:
        try:
            self.registries.of(component.kind).add(component)
            self.brought.append(component)
        except NameTaken as taken:
            self.problems.append(str(taken).removesuffix("."))


@contextmanager
def _blamed(what: str, mend: str) -> Iterator[None]:
    """Turn whatever a plugin's code raises into its problem; SystemExit too, which would end the program."""
    try:
        yield
    except PluginProblem:
        raise
    except (Exception, SystemExit) as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise PluginProblem(f"{what} {said.rstrip(':.')}. {mend}") from error
