"""The built-in samplers."""

from __future__ import annotations

from nearkin.components.samplers.options import (
    AllPairsOptions,
    BalancedPairsOptions,
    EpisodesOptions,
    MPerClassOptions,
    TripletsOptions,
)
from nearkin.contracts import Build, Register, Sampler


def register_samplers(register: Register) -> None:
    """balanced_pairs, all_pairs, triplets, m_per_class and episodes."""
    register(
        "balanced_pairs",
        make_balanced_pairs,
        options=BalancedPairsOptions,
        yields="pairs",
        summary="As many same-class as different-class pairs; every class equally often.",
    )
    register(
        "all_pairs",
        make_all_pairs,
        options=AllPairsOptions,
        yields="pairs",
        summary="m images of each of a few classes, and every pair of them: a few of one class, many of two.",
    )
    register(
        "triplets",
        make_triplets,
        options=TripletsOptions,
        yields="triplets",
        summary="Random triplets: an anchor, another image of its class, one of another class.",
    )
    register(
        "m_per_class",
        make_m_per_class,
        options=MPerClassOptions,
        yields="labels",
        summary="m images of each of a few classes, for losses that find pairs or triplets themselves, or by a miner.",
    )
    register(
        "episodes",
        make_episodes,
        options=EpisodesOptions,
        yields="episode",
        summary="A few classes, some support and some queries of each: the few-shot task, played while training.",
    )


def make_balanced_pairs(options: BalancedPairsOptions, build: Build) -> Sampler:
    """A sampler over `build.labels`."""
    from nearkin.components.samplers.balanced_pairs import BalancedPairs

    return BalancedPairs(options, build)


def make_all_pairs(options: AllPairsOptions, build: Build) -> Sampler:
    """A sampler over `build.labels`."""
    from nearkin.components.samplers.all_pairs import AllPairs

    return AllPairs(options, build)


def make_triplets(options: TripletsOptions, build: Build) -> Sampler:
    """A sampler over `build.labels`."""
    from nearkin.components.samplers.triplets import RandomTriplets

    return RandomTriplets(options, build)


def make_m_per_class(options: MPerClassOptions, build: Build) -> Sampler:
    """A sampler over `build.labels`."""
    from nearkin.components.samplers.m_per_class import MPerClass

    return MPerClass(options, build)


def make_episodes(options: EpisodesOptions, build: Build) -> Sampler:
    """A sampler over `build.labels`."""
    from nearkin.components.samplers.episodes import Episodes

    return Episodes(options, build)
