"""The built-in methods."""

from __future__ import annotations

from nearkin.components.methods.options import EmbeddingOptions
from nearkin.contracts import Build, Method, Register


def register_methods(register: Register) -> None:
    """embedding: any sampler with any registered loss."""
    register(
        "embedding",
        make_embedding,
        options=EmbeddingOptions,
        uses_loss=True,
        summary="Plain deep metric learning: any sampler with any registered loss.",
    )


def make_embedding(options: EmbeddingOptions, build: Build) -> Method:
    """The method around `build.loss`."""
    from nearkin.components.methods.embedding import EmbeddingMethod

    return EmbeddingMethod(options, build)
