"""What the built-in evaluators may be told."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from nearkin.contracts import Options


class ResampledOptions(Options):
    """Options of clusters and open_set."""

    resamples: Annotated[int, Field(ge=20, le=100_000)] = 200
    """Bootstrap replicates behind each interval."""


class NWayExamOptions(ResampledOptions):
    """Options of n_way_exam."""

    n_way: Annotated[int, Field(ge=2)] = 20
    """Choices a question, of which exactly one is of the shown image's class."""
    questions: Annotated[int, Field(ge=1)] = 1000
    """How many questions are asked, classes equally often."""
    images: Annotated[int, Field(ge=4)] = 2000
    """At most this many test images take part, an equal quota a class: all of them are compared with each other."""
