"""The built-in methods."""

from __future__ import annotations

from nearkin.components.methods.options import ClassifierOptions, EmbeddingOptions
from nearkin.contracts import Build, Method, Register


def register_methods(register: Register) -> None:
    """embedding: any sampler with any registered loss. classifier: a base that other runs start from."""
    register(
        "embedding",
        make_embedding,
        options=EmbeddingOptions,
        uses_loss=True,
        summary="Plain deep metric learning: any sampler with any registered loss.",
    )
    register(
        "classifier",
        make_classifier,
        options=ClassifierOptions,
        takes=("labels",),
        summary="Cross-entropy over the known classes: a base that other runs start from.",
    )


def make_embedding(options: EmbeddingOptions, build: Build) -> Method:
    """The method around `build.loss`."""
    from nearkin.components.methods.embedding import EmbeddingMethod

    return EmbeddingMethod(options, build)


def make_classifier(options: ClassifierOptions, build: Build) -> Method:
    """A linear layer over `build.classes`."""
    from nearkin.components.methods.classifier import ClassifierMethod

    return ClassifierMethod(options, build)
