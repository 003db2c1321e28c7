"""kornia's augmentations are named and checked before training, seeded, and keep an image's shape."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
import torch

from nearkin.contracts import InputSpec
from nearkin.errors import PluginError, UsageError
from nearkin.recipe.train_options import AugmentOptions
from nearkin.training.images import Batches, LabelledImages
from nearkin.training.kornia_layers import kornia_layers

SPEC = InputSpec((20, 20), 1, (0.5,), (0.5,))


def layers(*asked: dict[str, Any]) -> torch.nn.Sequential:
    return kornia_layers(AugmentOptions.model_validate({"kornia": list(asked)}, strict=False).kornia, SPEC)


def test_they_change_images_by_the_step_s_seed_alone_and_stay_within_0_and_1() -> None:
    pixels = np.random.default_rng(0).random((4, 1, 20, 20), dtype=np.float32)
    given = LabelledImages("train", tuple("abcd"), pixels, np.array([0, 0, 1, 1]))
    made = layers({"type": "RandomErasing", "p": 1.0, "scale": [0.1, 0.2]}, {"type": "RandomGaussianNoise", "p": 1.0})
    batches = Batches(given, AugmentOptions(), torch.device("cpu"), made)
    found = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        found.append(batches.of(np.arange(4))[0])
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
    assert not torch.allclose(found[0], torch.from_numpy(pixels))
    assert found[0].min() >= 0
    assert found[0].max() <= 1


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (
            {"type": "RandomErasng"},
            "no augmentation 'RandomErasng'. Did you mean 'RandomErasing'",
        ),
        ({"type": "RandomErasing", "scal": [0, 1]}, "takes no 'scal'. Did you mean 'scale'"),
        ({"type": "RandomErasing", "scale": "big"}, "RandomErasing cannot be used so"),
        ({"type": "RandomCrop", "size": [8, 8], "p": 1.0}, "RandomCrop changes an image's shape"),
    ],
)
def test_what_kornia_does_not_know_is_refused_with_the_mend(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        layers(wrong)


def test_kornia_is_missed_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kornia.augmentation", None)
    with pytest.raises(PluginError, match=r"nearkin\[augment\]"):
        layers({"type": "RandomErasing"})
