"""Views to measure, and an index whose answers can be worked out by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from nearkin.contracts import Answer, Metric, Promise, View


@dataclass
class FakeIndex:
    """Nearest reference by L1; held-out conformal p-values where calibration scores are given."""

    references: Any = ()
    labels: Sequence[str] = ()
    scores: dict[str, list[float]] = field(default_factory=dict)
    """Calibration scores a class."""
    alpha: float = 0.1
    metric: Metric = "l1"

    def query(self, queries: Any, *, k: int = 5, alpha: float | None = None) -> list[Answer]:
        return [self._answer(query) for query in np.asarray(queries)]

    def _answer(self, query: Any) -> Answer:
        near = np.abs(np.asarray(self.references) - query).sum(axis=1)
        names = sorted(set(self.labels))
        distances = {name: float(near[np.array(self.labels) == name].min()) for name in names}
        label = min(names, key=lambda name: distances[name])
        p_values = {
            name: (1 + sum(score >= distances[name] for score in own)) / (len(own) + 1)
            for name, own in self.scores.items()
        }
        plausible = sum(p > self.alpha for p in p_values.values())
        status: Any = ("unknown", "known", "ambiguous")[min(plausible, 2)] if label in p_values else None
        groups = {name: len(own) for name, own in self.scores.items()}
        bare = {name: "none given" for name in names if name not in self.scores}
        promise = Promise(self.alpha, "held_out" if self.scores else None, groups, bare)
        return Answer(status, label, distances[label], distances, p_values, (), "", promise, score=min(near))


@pytest.fixture(scope="session")
def fake_index() -> type[FakeIndex]:
    return FakeIndex


@pytest.fixture(scope="session")
def make_view() -> Callable[..., View]:
    """A view of (n, d) embeddings and n labels; every image its own, each alone in its group, unless said."""

    def make(embeddings: Any, labels: Sequence[str], **given: Any) -> View:
        names = tuple(f"image-{i}" for i in range(len(labels)))
        facts: dict[str, Any] = {
            "name": "model",
            "groups": names,
            "digests": names,
            "classes": tuple(sorted(set(labels) - {"?"})),
            "seen_digests": frozenset(),
            "index": FakeIndex(),
            "seed": 0,
            **given,
        }
        vectors = np.asarray(embeddings, dtype=np.float32)
        return View(embeddings=vectors if vectors.ndim == 2 else vectors[:, None], labels=tuple(labels), **facts)

    return make


@pytest.fixture(scope="session")
def shuffled() -> Callable[[View, int], View]:
    """The same view, its items in another order."""

    def shuffle(view: View, seed: int) -> View:
        order = np.random.default_rng(seed).permutation(len(view.labels))
        lists = {name: tuple(getattr(view, name)[i] for i in order) for name in ("labels", "groups", "digests")}
        kept = ("name", "classes", "seen_digests", "index", "seed", "select")
        facts = {name: getattr(view, name) for name in kept}
        return View(embeddings=view.embeddings[order], **lists, **facts)

    return shuffle
