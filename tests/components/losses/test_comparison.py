"""Where a distance is said to have a metric of the index, both rank alike; where it is not, it has none that does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from nearkin import load_registries
from nearkin.contracts import LossOptions
from nearkin.functional import pairwise_distances
from tests.components.losses import library
from tests.components.losses.test_losses import BUILD, options

REGISTRIES = load_registries(entry_points=False)
DISTANCES: list[tuple[dict[str, Any], str | None]] = [
    ({"type": "lp"}, "l2"),
    ({"type": "lp", "power": 2}, "l2"),
    ({"type": "lp", "normalize_embeddings": False}, "l2"),
    ({"type": "lp", "p": 1}, "l1"),
    ({"type": "lp", "p": 1, "normalize_embeddings": False}, "l1"),
    ({"type": "lp", "p": 3}, None),
    ({"type": "cosine"}, "cosine"),
    ({"type": "cosine", "power": 3}, "cosine"),
    ({"type": "cosine", "power": 2}, None),
    ({"type": "dot_product"}, "cosine"),
    ({"type": "dot_product", "p": 1}, None),
    ({"type": "dot_product", "normalize_embeddings": False}, None),
    ({"type": "snr"}, None),
]


@pytest.mark.parametrize(("said", "metric"), DISTANCES)
def test_the_index_ranks_as_the_loss_does(said: dict[str, Any], metric: str | None) -> None:
    made = options("triplet_margin", distance=said)
    comparison = made.comparison()
    assert comparison is not None
    assert comparison.metric == metric
    if comparison.metric is None:
        return
    component = REGISTRIES.method.get("embedding")
    chosen = component.options(metric=comparison.metric, normalize=comparison.normalize)
    method = component.factory(chosen, replace(BUILD, loss=None))
    vectors = library.embeddings(0).double()
    theirs = library.part("distance", said["type"], **{key: value for key, value in said.items() if key != "type"})
    apart = theirs(vectors) * (-1 if theirs.is_inverted else 1)
    mine = pairwise_distances(*[method.transform(vectors)] * 2, comparison.metric)
    others = ~torch.eye(len(vectors), dtype=torch.bool)
    for row in range(len(vectors)):
        keep = others[row]
        assert torch.equal(apart[row][keep].argsort(), mine[row][keep].argsort())


def test_every_loss_says_how_it_compares() -> None:
    for component in REGISTRIES.loss:
        needed = {"margin": 0.4, "Tn": 10.0} if component.name == "ranked_list" else {}
        made = component.options(**needed)
        assert isinstance(made, LossOptions)
        comparison = made.comparison()
        assert comparison is not None
        assert (comparison.metric is None) == (component.name == "signal_to_noise_ratio_contrastive")
