"""The discriminant: what looks at the support differ in counts less, and only the support is looked at."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from nearkin import load_registries
from nearkin.blueprint import Blueprint
from nearkin.discriminant import discriminated
from nearkin.model import build_model
from nearkin.recipe.model import EmbedOptions, Selection
from nearkin.recipe.train_options import WarpOptions

VIEWS, D = 4, 6


def drawn(n: int, seed: int) -> Tensor:
    return torch.randn(n, VIEWS * D, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("codes", [[0, 1, 2, 3, 4], [0, 0, 1, 1, 2]])
def test_it_is_the_inverse_square_root_of_the_scatter_within_classes(codes: list[int]) -> None:
    support, queries, labels = drawn(5, 0), drawn(7, 1), np.array(codes)
    found = discriminated(queries, support, torch.from_numpy(labels), views=VIEWS, ridge=0.5)

    looks = support.numpy().astype(float).reshape(5, VIEWS, D)
    means = np.stack([looks[labels == code].mean(axis=(0, 1)) for code in range(labels.max() + 1)])
    apart = (looks - means[labels][:, None]).reshape(-1, D)
    scatter = apart.T @ apart / len(apart)
    values, vectors = np.linalg.eigh(scatter + 0.5 * np.trace(scatter) / D * np.eye(D))
    shrink = vectors @ np.diag(values**-0.5) @ vectors.T
    for given, made in zip((queries, support), found, strict=True):
        expected = (given.numpy().astype(float).reshape(-1, VIEWS, D).mean(axis=1) - means.mean(axis=0)) @ shrink
        expected /= np.linalg.norm(expected, axis=1, keepdims=True)
        np.testing.assert_allclose(made, expected, atol=1e-5)


def test_a_query_is_the_same_in_any_company() -> None:
    support, queries, labels = drawn(5, 0), drawn(7, 1), torch.arange(5)
    together = discriminated(queries, support, labels, views=VIEWS, ridge=1.0)[0]
    alone = discriminated(queries[3:4], support, labels, views=VIEWS, ridge=1.0)[0]
    torch.testing.assert_close(together[3:4], alone)


def test_a_direction_that_only_the_warps_move_no_longer_decides() -> None:
    rng = np.random.default_rng(0)
    looks = np.zeros((3, VIEWS, 2))
    looks[:, :, 0] = np.array([-1, 0, 1])[:, None]  # what tells the classes apart
    looks[:2, :, 1] = 5 * rng.normal(size=(2, VIEWS))  # what the warps move
    looks[2, :, 1] = looks[0, :, 1]
    query = looks[:1].copy()
    query[:, :, 1] = looks[1, :, 1]
    support, queries = (torch.from_numpy(part.reshape(len(part), -1)).float() for part in (looks, query))
    plain = torch.cdist(*(part.unflatten(1, (VIEWS, 2)).mean(dim=1) for part in (queries, support)))
    assert plain.argmin() == 1
    assert torch.cdist(*discriminated(queries, support, torch.arange(3), views=VIEWS, ridge=1e-3)).argmin() == 0


def test_images_that_are_all_alike_are_told_apart_by_nothing() -> None:
    asked, given = discriminated(torch.ones(3, 8), torch.ones(2, 8), torch.arange(2), views=4, ridge=1.0)
    assert torch.equal(asked, torch.zeros(3, 2))
    assert torch.equal(given, torch.zeros(2, 2))


def test_a_model_compares_by_it_where_its_recipe_says_so() -> None:
    registries = load_registries(entry_points=False)

    def chosen(kind, name, **options):  # type: ignore[no-untyped-def]
        return Selection(kind, name, registries.of(kind).get(name).options.model_validate(options))

    embed = EmbedOptions(views=3, warp=WarpOptions(degrees=15), join="concat", discriminant=1.0)
    parts = chosen("method", "embedding", metric="l2", normalize=False), chosen("loss", "contrastive"), embed
    model = build_model(
        Blueprint(0, ("a", "b"), (chosen("backbone", "conv2", image_size=16, width=4),), *parts), registries
    )
    images = np.random.default_rng(0).random((5, 1, 16, 16), dtype=np.float32)
    vectors = model.embed_tensor(images)
    scores = model.compare(vectors[2:], vectors[:2], np.arange(2))
    asked, given = discriminated(
        torch.from_numpy(vectors[2:]), torch.from_numpy(vectors[:2]), torch.arange(2), views=3, ridge=1.0
    )
    np.testing.assert_allclose(scores, -torch.cdist(asked, given), atol=1e-5)


@pytest.mark.parametrize("wrong", [{"join": "mean"}, {"discriminant": 0.0}])
def test_it_needs_the_views_apart_and_a_ridge(wrong: dict[str, object]) -> None:
    given = {"views": 4, "warp": {"degrees": 5.0}, "join": "concat", "discriminant": 1.0}
    with pytest.raises(ValidationError):
        EmbedOptions.model_validate({**given, **wrong})
