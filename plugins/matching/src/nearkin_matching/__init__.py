"""Matching networks (Vinyals, Blundell, Lillicrap, Kavukcuoglu, Wierstra 2016) as a nearkin plugin."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from nearkin import Options, hookimpl
from nearkin.contracts import Build, Method, Register

nearkin_api = 1


class MatchingOptions(Options):
    """Options of matching."""

    scale: Annotated[float, Field(gt=0)] = 1.0
    """While training, cosines are multiplied by this before the softmax: 10 makes its loss sharper than the paper's."""
    symmetric: bool = False
    """Support and queries also swap roles, and the two losses are averaged: each image teaches twice."""
    full_context: bool = False
    """Embed each image in the light of the whole support (FCE, section 2.1.2): no index can hold such embeddings."""
    steps: Annotated[int, Field(ge=1)] | None = None
    """With `full_context`: how often the attention LSTM looks over the support for a query. Left out: 5."""

    @model_validator(mode="after")
    def _steps_of_context(self) -> MatchingOptions:
        if self.steps is not None and not self.full_context:
            raise ValueError("steps are those of full_context; set it, or leave steps out")
        return self


@hookimpl
def nearkin_methods(register: Register) -> None:
    """The method `matching`."""
    register(
        "matching",
        make_matching,
        options=MatchingOptions,
        takes=("episode",),
        summary="Cosine attention over the support, full context embeddings as an option (Vinyals et al. 2016).",
    )


def make_matching(options: MatchingOptions, build: Build) -> Method:
    """The method for embeddings of `build.embedding_dim`."""
    from nearkin_matching.method import Matching

    return Matching(options, build)
