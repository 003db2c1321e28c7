"""The X-ray tables of docs/results.md: `python docs/figures.py xrays`, or one part of it: `xrays few-shot`.

few-shot: ten shots on a warm base, each base with draws of its own; imagenet: the same with no base. unknown: each
class left out of base and shots. race, race-blocks: epochs to a target, from the base and from ImageNet weights, with
the head alone or the last six blocks too. adult, pneumonia: the other two sets. Every run's figures are kept under
runs/figures/xrays as it ends; a second call goes on where the first stopped.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from xray_figures.few_shot import few_shot, imagenet
from xray_figures.other_sets import adult, pneumonia
from xray_figures.race import race
from xray_figures.unknown import unknown

PARTS: dict[str, Callable[[], None]] = {
    "few-shot": few_shot,
    "imagenet": imagenet,
    "unknown": unknown,
    "race": partial(race, "the head alone"),
    "pneumonia": pneumonia,
    "adult": adult,
    "race-blocks": partial(race, "the head and the last six blocks"),
}


def xrays(*parts: str) -> None:
    """The parts named, or all."""
    for part in parts or PARTS:
        print(f"\n{part}\n")
        PARTS[part]()
