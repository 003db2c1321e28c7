"""What the built-in samplers may be told."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, Field

from nearkin.contracts import Options


def _ordered(given: int | tuple[int, int]) -> int | tuple[int, int]:
    if isinstance(given, tuple) and given[0] > given[1]:
        raise ValueError("a range is written [least, most]")
    return given


Ways = Annotated[int, Field(ge=2)]
Shots = Annotated[int, Field(ge=1)]
WayRange: TypeAlias = Annotated[Ways | tuple[Ways, Ways], AfterValidator(_ordered)]
ShotRange: TypeAlias = Annotated[Shots | tuple[Shots, Shots], AfterValidator(_ordered)]


class EpisodesOptions(Options):
    """Options of episodes."""

    n_way: WayRange = 5
    """Classes an episode; `[5, 20]` draws anew for each."""
    n_shot: ShotRange = 1
    """Support images a class; `[1, 5]` draws anew for each episode."""
    n_query: Shots = 5
    """Images a class to classify."""
    within: Literal["all", "parent"] = "all"
    """`parent`: the classes of an episode lie in one folder (`alphabet` of `alphabet/character`)."""


class TripletsOptions(Options):
    """Options of triplets."""

    triplets: Annotated[int, Field(ge=1, le=100_000)] = 30
    """Triplets a batch: anchor and positive of one class, the negative of another."""


class MPerClassOptions(Options):
    """Options of m_per_class."""

    classes: Annotated[int, Field(ge=2)] = 8
    """Classes a batch; all of them where the recipe has fewer."""
    m: Annotated[int, Field(ge=2)] = 4
    """Images of each."""


class AllPairsOptions(MPerClassOptions):
    """Options of all_pairs."""

    classes: Annotated[int, Field(ge=2)] = 32
    """Classes a batch; all of them where the recipe has fewer."""
    m: Annotated[int, Field(ge=2)] = 2
    """Images of each."""


class BalancedPairsOptions(Options):
    """Options of balanced_pairs."""

    pairs: Annotated[int, Field(ge=2, le=100_000, multiple_of=2)] = 30
    """Pairs a batch: half of one class, half of two. An even number."""
