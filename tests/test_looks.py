"""Several looks at an image: fixed, independent of company, part of the model, and distances that are their means."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from nearkin import load_registries
from nearkin.blueprint import Blueprint
from nearkin.contracts import InputSpec, Metric
from nearkin.errors import UsageError
from nearkin.functional import pairwise_distances
from nearkin.looks import Looks, concatenated
from nearkin.model import Model, build_model, load_model
from nearkin.recipe.model import EmbedOptions, Selection
from nearkin.recipe.train_options import WarpOptions

REGISTRIES = load_registries(entry_points=False)
WARP = WarpOptions(degrees=15, translate=0.1, elastic=0.05)


def model(embed: EmbedOptions, metric: Metric = "l2", seed: int = 0) -> Model:
    def chosen(kind, name, **options):  # type: ignore[no-untyped-def]
        return Selection(kind, name, REGISTRIES.of(kind).get(name).options.model_validate(options))

    blueprint = Blueprint(
        seed,
        ("a", "b"),
        (chosen("backbone", "conv2", image_size=16, width=4),),
        chosen("method", "embedding", metric=metric, normalize=False),
        chosen("loss", "contrastive"),
        embed,
    )
    return build_model(blueprint, REGISTRIES).eval()


SPEC = InputSpec((16, 16), 1, (0.5,), (0.5,))
IMAGES = np.random.default_rng(0).random((5, 1, 16, 16), dtype=np.float32)


def test_the_first_look_is_the_image_itself_and_all_images_are_warped_alike() -> None:
    images = torch.ones(2, 1, 16, 16) * torch.arange(16)
    looks = [look for (look,) in Looks(EmbedOptions(views=3, warp=WARP), SPEC, 0).of(images)]
    assert len(looks) == 3
    assert torch.equal(looks[0][0, 0, 0], torch.arange(16.0))
    assert not torch.allclose(looks[1], looks[0])
    assert torch.equal(looks[1][0], looks[1][1])


def test_the_mean_is_of_the_looks_embeddings_and_an_image_has_one_embedding_in_any_company() -> None:
    several = model(EmbedOptions(views=4, warp=WARP))
    with torch.inference_mode():
        each = [several.raw(look) for (look,) in several.looks.of(torch.from_numpy(IMAGES))]
    made = several.embed_tensor(IMAGES)
    np.testing.assert_allclose(made, torch.stack(each).mean(dim=0).numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(made[2:3], several.embed_tensor(IMAGES[2:3]), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(
        several.embed_tensor(IMAGES, one_look=True), model(EmbedOptions()).embed_tensor(IMAGES)
    )


@pytest.mark.parametrize("metric", ["l1", "cosine"])
def test_side_by_side_a_distance_is_the_mean_over_the_looks(metric: Metric) -> None:
    several = model(EmbedOptions(views=4, warp=WARP, join="concat"), metric)
    made = torch.from_numpy(several.embed_tensor(IMAGES))
    assert made.shape == (5, several.embedding_dim) == (5, 16)
    with torch.inference_mode():
        each = [several.raw(look) for (look,) in several.looks.of(torch.from_numpy(IMAGES))]
    expected = torch.stack([pairwise_distances(part, part, metric) for part in each]).mean(dim=0)
    assert torch.allclose(pairwise_distances(made, made, metric), expected, atol=1e-5)


def test_side_by_side_the_square_of_l2_is_the_mean_of_squares() -> None:
    parts = [torch.randn(6, 3, generator=torch.Generator().manual_seed(seed)) for seed in range(5)]
    expected = torch.stack([pairwise_distances(part, part, "l2").square() for part in parts]).mean(dim=0)
    made = concatenated(parts, "l2")
    assert torch.allclose(pairwise_distances(made, made, "l2").square(), expected, atol=1e-5)


def test_every_look_comes_with_its_turns_counterclockwise() -> None:
    images = torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    looks = list(Looks(EmbedOptions(views=2, warp=WARP, rotations=(270, 90)), SPEC, 0).of(images))
    assert [len(look) for look in looks] == [3, 3]
    assert torch.equal(looks[0][0], images)
    for itself, clockwise, counter in looks:
        np.testing.assert_array_equal(clockwise, np.rot90(itself, 3, axes=(2, 3)))
        np.testing.assert_array_equal(counter, np.rot90(itself, axes=(2, 3)))


@pytest.mark.parametrize("join", ["mean", "concat"])
@pytest.mark.parametrize("metric", ["l1", "cosine", "l2"])
def test_a_distance_is_the_mean_over_the_turns(metric: Metric, join: str) -> None:
    views = {"views": 3, "warp": WARP, "join": join}
    turned = model(EmbedOptions.model_validate({**views, "rotations": (90, 180, 270)}), metric)
    upright = model(EmbedOptions.model_validate({"join": join}), metric)
    made = torch.from_numpy(turned.embed_tensor(IMAGES))
    assert made.shape == (5, turned.embedding_dim)
    power = 2 if metric == "l2" else 1
    expected = []
    for turn in range(4):
        of_turn = []
        for look in turned.looks.of(torch.from_numpy(IMAGES)):
            plain = upright.embed_tensor(np.rot90(look[0].numpy(), turn, axes=(2, 3)).copy())
            of_turn.append(torch.from_numpy(plain))
        parts = [torch.stack(of_turn).mean(dim=0)] if join == "mean" else of_turn
        expected += [pairwise_distances(part, part, metric) ** power for part in parts]
    apart = pairwise_distances(made, made, metric) ** power
    assert torch.allclose(apart, torch.stack(expected).mean(dim=0), atol=1e-4)


def test_turned_images_are_as_far_apart_as_upright_ones() -> None:
    turned = model(EmbedOptions(rotations=(90, 180, 270)))
    upright, quarter = (
        torch.from_numpy(turned.embed_tensor(np.rot90(IMAGES, turn, axes=(2, 3)).copy())) for turn in (0, 1)
    )
    torch.testing.assert_close(pairwise_distances(quarter, quarter, "l2"), pairwise_distances(upright, upright, "l2"))
    assert not torch.allclose(quarter, upright)


def test_a_quarter_turn_of_an_oblong_image_is_refused() -> None:
    oblong = InputSpec((32, 64), 1, (0.5,), (0.5,))
    with pytest.raises(UsageError, match="quarter turns need square images, and the backbone takes 32 x 64"):
        Looks(EmbedOptions(rotations=(180, 270)), oblong, 0)
    ((_, half),) = Looks(EmbedOptions(rotations=(180,)), oblong, 0).of(torch.zeros(1, 1, 32, 64))
    assert half.shape == (1, 1, 32, 64)


def test_a_turn_named_twice_is_refused() -> None:
    with pytest.raises(ValidationError, match="names a turn twice"):
        EmbedOptions(rotations=(90, 90))


@pytest.mark.parametrize("rotations", [(), (90, 270)])
@pytest.mark.parametrize("join", ["mean", "concat"])
def test_a_saved_model_looks_at_images_as_it_did(join: str, rotations: tuple[int, ...]) -> None:
    options = {"views": 3, "warp": WARP, "join": join, "rotations": rotations}
    before = model(EmbedOptions.model_validate(options), seed=7)
    files = before.files()
    after = load_model(files, REGISTRIES, "here")
    # Who lacks turns writes what could be read before there were any.
    description = json.loads(files["model.json"])
    assert (description["version"], "rotations" in description["embed"]) == ((6, True) if rotations else (3, False))
    assert after.blueprint.embed == before.blueprint.embed
    np.testing.assert_array_equal(after.embed_tensor(IMAGES), before.embed_tensor(IMAGES))


@pytest.mark.parametrize("wrong", [{"views": 5}, {"warp": {"degrees": 5}}, {"views": 0}])
def test_views_without_a_warp_or_the_other_way_round_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        EmbedOptions.model_validate(wrong)
