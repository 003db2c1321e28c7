"""Prototypical networks (Snell, Swersky, Zemel 2017) as a nearkin plugin."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from nearkin import Options, hookimpl
from nearkin.contracts import Build, Method, Register

nearkin_api = 1


class PrototypicalOptions(Options):
    """Options of prototypical."""

    distance: Literal["squared_l2", "cosine"] = "squared_l2"
    """Between a query and a prototype. The paper found squared Euclidean better (section 2.7)."""
    scale: Annotated[float, Field(gt=0)] = 1.0
    """Distances are multiplied by this before the softmax: cosine distances, at most 2, want about 10."""
    neighbors: Annotated[int, Field(ge=1)] | None = None
    """A class's distance is the mean of those to its so many nearest support images. Left out: to its prototype."""
    symmetric: bool = False
    """Support and queries also swap roles, and the two losses are averaged: each image teaches twice."""


@hookimpl
def nearkin_methods(register: Register) -> None:
    """The method `prototypical`."""
    register(
        "prototypical",
        make_prototypical,
        options=PrototypicalOptions,
        takes=("episode",),
        summary="A class is the mean of its support; softmax over distances to the means (Snell et al. 2017).",
    )


def make_prototypical(options: PrototypicalOptions, build: Build) -> Method:
    """The method; it has no weights of its own."""
    from nearkin_prototypical.method import Prototypical

    return Prototypical(options)
