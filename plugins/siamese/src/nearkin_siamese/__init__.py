"""Siamese networks (Koch, Zemel, Salakhutdinov 2015) as a nearkin plugin."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from nearkin import Options, hookimpl
from nearkin.contracts import Build, Method, Register

nearkin_api = 1


class SigmoidOptions(Options):
    """Where the sigmoids begin: sigmoid(gain * (value - threshold)), a gain and a threshold learned a dimension."""

    gain: Annotated[float, Field(gt=0)] = 8.0
    """How steep. Features of ReLUs begin well with 8."""
    threshold: float = 0.25
    """From which value on a feature counts as there."""


class SiameseOptions(Options):
    """Options of siamese."""

    initial_bias: Annotated[float, Field(ge=0)] = 2.0
    """The logit of two identical embeddings before training; 2 says 88% same."""
    initial_scale: Annotated[float, Field(gt=0)] = 1.0
    """The sum of the weights before training. Weights learn slowly: where pairs hardly differ, begin with 10 or 20."""
    weights: bool = True
    """Whether each dimension's weight is learned; else all stay alike."""
    sigmoid: SigmoidOptions | None = None
    """Whether embeddings end in sigmoids, as the paper's last layer does: `{}` for its defaults. For embeddings that
    are not normalised."""


@hookimpl
def nearkin_methods(register: Register) -> None:
    """The method `siamese`."""
    register(
        "siamese",
        make_siamese,
        options=SiameseOptions,
        takes=("pairs",),
        summary="Same or different: weighted absolute difference, sigmoid, binary cross-entropy (Koch et al. 2015).",
    )


def make_siamese(options: SiameseOptions, build: Build) -> Method:
    """The method for embeddings of `build.embedding_dim`."""
    from nearkin_siamese.method import Siamese

    return Siamese(options, build)
