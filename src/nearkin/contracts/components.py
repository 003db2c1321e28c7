"""Components: what a plugin registers, and what its factory is handed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Protocol, TypeAlias

from nearkin.contracts.parts import Loss
from nearkin.contracts.types import InputSpec, IntArray, Metric, Options, StructureKind
from nearkin.errors import PluginError

API_VERSION = 1
"""What a plugin module must declare as `nearkin_api`."""


@dataclass(frozen=True)
class Build:
    """What the surroundings decide, handed to every factory, so that no option has to say it a second time.

    A field is filled where it is known: a backbone is built before there is an `embedding_dim`.
    """

    seed: int
    classes: tuple[str, ...] = ()
    """The known classes; a label's code is its position here."""
    labels: IntArray | None = None
    """(n,) class codes of the training items, for samplers."""
    input: InputSpec | None = None
    embedding_dim: int | None = None
    loss: Loss | None = None
    """The recipe's loss, for a method that takes one."""
    metric: Metric | None = None
    """How the index compares, for an engine or a score."""
    weights_follow: bool = False
    """A saved model's weights are loaded right after: none need be fetched from elsewhere."""


def refuse_without(made: object, wants: Sequence[str], who: str) -> None:
    """`PluginError` where what a factory made lacks what its contract names."""
    if missing := [name for name in wants if not hasattr(made, name)]:
        raise PluginError(
            f"{who} made a {type(made).__name__} without {', '.join(missing)}; "
            "nearkin.contracts says what it must have."
        )


Kind: TypeAlias = Literal["backbone", "sampler", "loss", "method", "evaluator", "engine", "score"]
Factory: TypeAlias = Callable[[Any, Build], Any]
OptionsSource: TypeAlias = type[Options] | Callable[[], type[Options]]
"""An options model, or a function that makes it when it is first asked for: for models that take a while."""


@dataclass(frozen=True)
class Component:
    """One registered part: what a recipe names, what it may be told, and how it is made."""

    kind: Kind
    name: str
    distribution: str
    """The distribution (or local file) it came from; `distribution:name` always names it."""
    version: str
    summary: str
    options_source: OptionsSource
    factory: Factory
    yields: StructureKind | None = None
    """Samplers: the structure of their batches."""
    takes: tuple[StructureKind, ...] = ()
    """Losses and methods: the structures they can use. Empty for a method that leaves it to its loss."""
    uses_loss: bool = False
    """Methods: whether the recipe must name a loss (else it must not)."""
    metrics: tuple[Metric, ...] = ()
    """Engines: what they can compare by."""

    @property
    def qualified(self) -> str:
        """`distribution:name`."""
        return f"{self.distribution}:{self.name}"

    @cached_property
    def options(self) -> type[Options]:
        """The options model."""
        return self.options_source if isinstance(self.options_source, type) else self.options_source()


class Register(Protocol):
    """The callback that a hook gets, bound to the plugin's distribution."""

    def __call__(
        self,
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
        """Bind one component's name. What cannot be used is refused, with the plugin named."""
