"""The promise, measured: over many draws of real images, at most alpha of each known class is flagged unknown.

Digits, Omniglot and chest X-rays, by every score and every way of calibrating, the embedding learned anew in each
draw, a fold's too.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nearkin.experiments.promise import own_p_values
from nearkin.index.alphas import false_flags
from nearkin.index.calibration import worst_share
from tests.index.promise_material import MATERIALS, digits

SCORES = ["knn", "mahalanobis", {"type": "knn", "k": 3}, "prototype", "relative_mahalanobis", "lof", "scaled_knn"]
BY_WAY = {"held_out": SCORES, "leave_one_group_out": [SCORES[0], SCORES[2]], "cross_conformal": SCORES}
ALPHA, DRAWS = 0.10, 200
NEEDS_DATA = pytest.mark.skipif("NEARKIN_DATA" not in os.environ, reason="NEARKIN_DATA names no folder with images")


def shares(name: str, score: Any, way: Any, draws: int, **how: Any) -> dict[str, float]:
    """By class: the share of its images whose own p-value is at most alpha, over all draws."""
    values = own_p_values(MATERIALS[name](), score=score, way=way, draws=draws, **how)
    return {label: float(np.mean(own <= ALPHA + 1e-9)) for label, own in values.items()}


@pytest.mark.soak
@pytest.mark.parametrize("way", BY_WAY)
@pytest.mark.parametrize(
    "name", ["digits", pytest.param("omniglot", marks=NEEDS_DATA), pytest.param("cxr3", marks=NEEDS_DATA)]
)
def test_the_share_of_known_images_flagged_is_as_promised(
    name: str, way: Any, count: Callable[[str, int, int], int], soaked: Callable[[str], None]
) -> None:
    draws = count("draws of the promise", 4, DRAWS)
    scores = BY_WAY[way][: count(f"scores of the promise, {way}", 1 if way == "cross_conformal" else 2, 9)]
    material, worst = MATERIALS[name](), 0.0
    n = material.calibrate + (material.train if way == "cross_conformal" else 0)
    for score in scores:
        found = shares(name, score, way, draws)
        expected = false_flags(ALPHA, n, material.asked).expected
        # Questions of one draw share its calibration: the share flagged there is beta-binomial (Vovk 2012).
        spread = math.sqrt(expected * (1 - expected) * (1 / (n + 2) + 1 / material.asked) / draws)
        most = worst_share(ALPHA, n, material.folds) if way == "cross_conformal" else expected
        print(f"{name}, {way}, {score}: promised {ALPHA}, expected {expected:.4f}, measured {found}")
        classes = math.sqrt(2 * math.log(2 * len(found) * len(scores)))  # as many chances to be far out
        assert all(share < most + (3 + classes) * spread for share in found.values())
        mean = float(np.mean(list(found.values())))
        assert mean > 0
        if way == "held_out":
            assert abs(mean - expected) < 5 * spread / math.sqrt(len(found))
        if draws == DRAWS:
            assert all(share > 0 for share in found.values())
        worst = max(worst, *found.values())
    soaked(f"{draws} draws, {len(scores)} scores, {name}, {way}: at most {worst:.3f} of a class flagged at alpha 0.10")


@pytest.mark.parametrize("score", ["knn", "mahalanobis"])
def test_calibrating_on_images_that_trained_the_embedding_breaks_the_promise(score: Any) -> None:
    broken = shares("digits", score, "held_out", 6, on_trained=True)
    print(f"{score}: promised at most {ALPHA}, measured {broken} when calibrated on what trained")
    assert min(broken.values()) > 2 * ALPHA


def test_every_draw_parts_the_images_and_asks_about_so_many_of_each_class() -> None:
    material = digits()
    own = own_p_values(material, draws=2)
    assert {label: values.shape for label, values in own.items()} == dict.fromkeys("358", (2, material.asked))
    assert np.isin(np.round(own["3"] * (material.calibrate + 1)), np.arange(1, material.calibrate + 2)).all()
