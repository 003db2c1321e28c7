"""Registries: components by name, a kind each. Names bind once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import get_args

from nearkin.contracts import Component, Kind
from nearkin.errors import PluginError, did_you_mean

CORE = "nearkin"
"""The distribution whose names bind first: a plugin cannot take `conv4` from those who never asked for the plugin."""


class NameTaken(PluginError):
    """A second component of one name."""


@dataclass
class Registry:
    """The components of one kind, under their bare names and under `distribution:name`."""

    kind: Kind
    _by_qualified: dict[str, Component] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    """What one might look for and the core does not offer, by its name in the library it is of -> the reason."""

    def add(self, component: Component) -> None:
        """Bind the component's qualified name. Two components of one distribution and name cannot both stand."""
        if component.qualified in self._by_qualified:
            raise NameTaken(f"{component.distribution} registers the {self.kind} {component.name!r} twice.")
        self._by_qualified[component.qualified] = component

    def discard(self, component: Component) -> None:
        """Forget what a plugin registered before it broke."""
        self._by_qualified.pop(component.qualified, None)

    def conflicts(self) -> list[str]:
        """One sentence for every bare name that several distributions offer."""
        shared = [[c for c in self if c.name == name] for name in self.names()]
        return [self._conflict(found) for found in shared if len(found) > 1]

    def _conflict(self, found: list[Component]) -> str:
        if len(self.named(found[0].name)) > 1:
            return self.ambiguity(found)
        others = [component for component in found if component.distribution != CORE]
        return (
            f"the {self.kind} {found[0].name!r} of {' and '.join(c.distribution for c in others)} is hidden by the "
            f"built-in one; {' or '.join(repr(c.qualified) for c in others)} names it."
        )

    def named(self, name: str) -> list[Component]:
        """All components of that bare name; the core's own hides the others', which keep their qualified names."""
        same = [component for component in self if component.name == name]
        return [component for component in same if component.distribution == CORE] or same

    def get(self, name: str) -> Component:
        """The component of a bare or qualified name; `PluginError` where there is none, or more than one."""
        if name in self._by_qualified:
            return self._by_qualified[name]
        found = self.named(name)
        if len(found) > 1:
            raise PluginError(self.ambiguity(found))
        if not found:
            raise PluginError(
                f"unknown {self.kind} {name!r}.{did_you_mean(name, self.names())} Install the plugin that brings it, "
                "or pass it with --plugin FILE or plugins=[module]."
            )
        return found[0]

    def why_left_out(self, name: str) -> str:
        """The reason why nothing of that name is offered, or nothing: `VICRegLoss`, `vicreg` and `vic_reg` are one."""
        found = (reason for other, reason in self.left_out.items() if self._folded(other) == self._folded(name))
        return next(found, "")

    def _folded(self, name: str) -> str:
        return name.replace("_", "").lower().removesuffix(self.kind)

    def saved(self, name: str) -> Component:
        """The component that something was saved with: of that qualified name, else the only one of that bare name.

        A plugin may have been given as a file, and now as a module or a distribution. A built-in never stands in.
        """
        same = [component for component in self if component.name == name.rpartition(":")[2]]
        if name in self._by_qualified or len(same) != 1 or same[0].distribution == CORE:
            return self.get(name)
        return same[0]

    def ambiguity(self, found: list[Component]) -> str:
        """What to say where several distributions offer one name."""
        owners = " and ".join(sorted(component.distribution for component in found))
        return (
            f"the {self.kind} {found[0].name!r} is registered by {owners}. Write which one you mean: "
            + " or ".join(repr(name) for name in sorted(component.qualified for component in found))
            + "."
        )

    def names(self) -> list[str]:
        """Bare names, sorted, each once."""
        return sorted({component.name for component in self})

    def __iter__(self) -> Iterator[Component]:
        return iter(sorted(self._by_qualified.values(), key=lambda component: component.qualified))

    def __len__(self) -> int:
        return len(self._by_qualified)


@dataclass(frozen=True)
class PluginStatus:
    """One plugin as found: what it brought, or why it brought nothing."""

    name: str
    """Its entry point's name, or the file or module it came from."""
    distribution: str
    version: str
    problems: tuple[str, ...] = ()
    """Empty where all is well. A broken plugin's components are not registered."""
    components: tuple[str, ...] = ()
    """`kind name` of each."""

    @property
    def broken(self) -> bool:
        """Whether it was rolled back."""
        return bool(self.problems)


@dataclass
class Registries:
    """One registry a kind, and every plugin that was found, broken ones included."""

    backbone: Registry = field(default_factory=lambda: Registry("backbone"))
    sampler: Registry = field(default_factory=lambda: Registry("sampler"))
    loss: Registry = field(default_factory=lambda: Registry("loss"))
    method: Registry = field(default_factory=lambda: Registry("method"))
    evaluator: Registry = field(default_factory=lambda: Registry("evaluator"))
    engine: Registry = field(default_factory=lambda: Registry("engine"))
    score: Registry = field(default_factory=lambda: Registry("score"))
    plugins: list[PluginStatus] = field(default_factory=list)

    def of(self, kind: Kind) -> Registry:
        """The registry of one kind."""
        registry: Registry = getattr(self, kind)
        return registry

    def all(self) -> tuple[Registry, ...]:
        """Every registry, in the order of the hooks."""
        return tuple(self.of(kind) for kind in get_args(Kind))

    def conflicts(self) -> list[str]:
        """Every bare name that more than one distribution offers."""
        return [conflict for registry in self.all() for conflict in registry.conflicts()]

    @property
    def broken(self) -> tuple[PluginStatus, ...]:
        """The plugins that could not be used."""
        return tuple(plugin for plugin in self.plugins if plugin.broken)
