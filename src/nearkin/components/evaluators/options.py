"""What the built-in evaluators may be told."""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, Field

from nearkin.contracts import Options

Number = TypeVar("Number", int, float)


def _each_once(numbers: tuple[Number, ...]) -> tuple[Number, ...]:
    """No two that a figure's name writes alike."""
    written = [f"{number:g}" if isinstance(number, float) else str(number) for number in numbers]
    for place, name in enumerate(written):
        if name in written[:place]:
            raise ValueError(f"{name} is listed twice, and a figure is named after it. Delete one")
    return numbers


class ResampledOptions(Options):
    """Options of clusters and open_set."""

    resamples: Annotated[int, Field(ge=20, le=100_000)] = 200
    """Bootstrap replicates behind each interval."""


class RetrievalOptions(ResampledOptions):
    """Options of retrieval."""

    classes: Literal["all", "known", "unknown"] = "all"
    """Whose test images ask and answer, each under its own label."""
    recall_at: Annotated[tuple[Annotated[int, Field(ge=1)], ...], AfterValidator(_each_once)] = (5, 10)
    """Each k: how often one of the k nearest is of the class."""


class VerificationOptions(ResampledOptions):
    """Options of verification."""

    classes: Literal["all", "known", "unknown"] = "all"
    """Whose test images are paired, each under its own label."""
    pairs: Annotated[int, Field(ge=10, le=1_000_000)] = 10_000
    """Pairs of one class, classes in turn; as many again of two, of the same images."""
    far: Annotated[tuple[Annotated[float, Field(gt=0, lt=1)], ...], AfterValidator(_each_once)] = (0.1, 0.01, 0.001)
    """Each false accept rate to give the true accept rate at."""
    images: Annotated[int, Field(ge=4)] = 2000
    """At most this many test images take part, an equal quota a class: all of them are compared with each other."""


class NWayExamOptions(ResampledOptions):
    """Options of n_way_exam."""

    n_way: Annotated[int, Field(ge=2)] = 20
    """Choices a question, of which exactly one is of the shown image's class."""
    questions: Annotated[int, Field(ge=1)] = 1000
    """How many questions are asked, classes equally often."""
    images: Annotated[int, Field(ge=4)] = 2000
    """At most this many test images take part, an equal quota a class: all of them are compared with each other."""


class EpisodesOptions(ResampledOptions):
    """Options of episodes."""

    n_way: Annotated[int, Field(ge=2)] = 20
    """Classes an episode; all of a parent's where it has fewer."""
    n_shot: Annotated[int, Field(ge=1)] = 1
    """Support images a class."""
    n_query: Annotated[int, Field(ge=1)] = 5
    """Queries a class, where it has so many of other groups than the support's."""
    episodes: Annotated[int, Field(ge=2)] = 1000
    """Asked in all, every parent equally often."""
    within: Literal["parent", "all"] = "parent"
    """`parent`: the classes of an episode lie in one folder (`alphabet` of `alphabet/character`)."""
    ask: Literal["unknown", "known", "all"] | None = None
    """About which classes. Left out: unknown ones, which trained nothing, where the test split has any; else known."""
