"""The built-in samplers."""

from __future__ import annotations

from nearkin.components.samplers.options import BalancedPairsOptions, EpisodesOptions
from nearkin.contracts import Build, Register, Sampler


def register_samplers(register: Register) -> None:
    """balanced_pairs and episodes."""
    register(
        "balanced_pairs",
        make_balanced_pairs,
        options=BalancedPairsOptions,
        yields="pairs",
        summary="As many same-class as different-class pairs; every class equally often.",
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


def make_episodes(options: EpisodesOptions, build: Build) -> Sampler:
    """A sampler over `build.labels`."""
    from nearkin.components.samplers.episodes import Episodes

    return Episodes(options, build)
