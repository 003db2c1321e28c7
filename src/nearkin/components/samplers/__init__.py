"""The built-in samplers."""

from __future__ import annotations

from nearkin.components.samplers.options import BalancedPairsOptions
from nearkin.contracts import Build, Register, Sampler


def register_samplers(register: Register) -> None:
    """balanced_pairs."""
    register(
        "balanced_pairs",
        make_balanced_pairs,
        options=BalancedPairsOptions,
        yields="pairs",
        summary="As many same-class as different-class pairs; every class equally often.",
    )


def make_balanced_pairs(options: BalancedPairsOptions, build: Build) -> Sampler:
    """A sampler over `build.labels`."""
    from nearkin.components.samplers.balanced_pairs import BalancedPairs

    return BalancedPairs(options, build)
