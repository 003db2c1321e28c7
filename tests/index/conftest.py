"""Small indexes that the tests share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nearkin.contracts import Embedded
from nearkin.index import Index

CENTRES = {"a": (0.0, 0.0, 1.0), "b": (8.0, 0.0, 1.0), "c": (0.0, 8.0, 1.0)}


@pytest.fixture
def draw() -> Callable[..., Any]:
    """`draw(label, n, seed)`: (n, 3) float32 around the centre of a, b or c."""

    def drawn(label: str, n: int, seed: int) -> Any:
        rng = np.random.default_rng(seed)
        return (np.array(CENTRES[label]) + rng.normal(size=(n, 3))).astype(np.float32)

    return drawn


@pytest.fixture
def make(draw: Callable[..., Any]) -> Callable[..., Index]:
    """`make(calibrated={"a": 20})`: an index of a, b, c, ten references each, and so many calibration items."""

    def made(calibrated: dict[str, int] | None = None, **settings: Any) -> Index:
        index = Index(**{"metric": "l1", "class_rule": "nearest", "dim": 3, **settings})
        for seed, label in enumerate(CENTRES):
            groups = [f"{label} patient {i}" for i in range(10)]
            index.add(draw(label, 10, seed), [label] * 10, groups=groups)
        counts = {"a": 20, "b": 20, "c": 20} if calibrated is None else calibrated
        for seed, (label, n) in enumerate(counts.items()):
            index.calibrate(draw(label, n, 100 + seed), [label] * n)
        return index

    return made


@pytest.fixture
def embed() -> Callable[[Any], Embedded]:
    """Stands in for a model: an image is a text `x,y,z`, its embedding those numbers."""

    def embedded(images: Any) -> Embedded:
        vectors = np.array([[float(x) for x in image.split(",")] for image in images], dtype=np.float32)
        return Embedded(vectors, tuple(f"digest of {image}" for image in images), tuple(images))

    return embedded
