"""The built-in losses: pytorch-metric-learning's by name, with their arguments and parts as typed options."""

from __future__ import annotations

from functools import partial
from typing import cast

from nearkin.components.losses.notes import NOTES
from nearkin.components.losses.tables import tables
from nearkin.contracts import Build, Loss, Options, Register


def register_losses(register: Register) -> None:
    """Every loss of the library that the exclusions do not name."""
    for name, entry in tables()["loss"].items():
        register(
            name,
            partial(make_loss, name),
            options=partial(options_of, name),
            takes=entry.takes,
            summary=NOTES[name].summary,
        )


def options_of(name: str) -> type[Options]:
    """The options model of a loss: made when a recipe first names it."""
    from nearkin.components.losses.options import loss_options

    return loss_options(name)


def make_loss(name: str, options: Options, build: Build) -> Loss:
    """The library's loss."""
    from nearkin.components.losses.build import build_loss

    return cast(Loss, build_loss(name, options, build))
