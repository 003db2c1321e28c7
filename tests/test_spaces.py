"""What a backbone's stages say: as plain torch computes it, with weights of now and of before, saved with the model."""

from __future__ import annotations

import json
import threading
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import nearkin
from nearkin.blueprint import Blueprint
from nearkin.errors import DataError, PluginError, UsageError
from nearkin.model import Model, build_model, load_model
from nearkin.recipe.model import EmbedOptions, Selection
from nearkin.recipe.space import EmbeddingSpace, FeaturesPart
from nearkin.recipe.train_options import OptimizerOptions, WarpOptions
from nearkin.spaces import pooled
from nearkin.training.schedule import make_optimizer

REGISTRIES = nearkin.load_registries(entry_points=False)
EMBEDDING = EmbeddingSpace(type="embedding")


def features(*stages: int, weights: Any = "initial") -> FeaturesPart:
    return FeaturesPart(type="features", stages=stages, weights=weights)


def selection(kind: Any, name: str, **options: Any) -> Selection:
    return Selection(kind, name, REGISTRIES.of(kind).get(name).options(**options))


def model(*space: Any, backbone: str = "conv4", **options: Any) -> Model:
    chosen = selection("backbone", backbone, **{"image_size": 16, **options})
    parts = selection("method", "embedding"), selection("loss", "contrastive")
    return build_model(Blueprint(0, ("a", "b"), (chosen,), *parts, space=space), REGISTRIES).eval()


def images(count: int = 3) -> Any:
    return np.random.default_rng(0).random((count, 1, 16, 16)).astype(np.float32)


def trained(net: Model) -> Model:
    """After one step that moves every weight that learns."""
    optimizer = make_optimizer(net, OptimizerOptions(type="sgd", lr=1.0))
    net.train()
    net.raw(torch.from_numpy(images())).square().sum().backward()
    optimizer.step()
    return net.eval()


def by_hand(net: Model, stages: tuple[int, ...]) -> Any:
    """Block by block, in plain torch."""
    now, found = (torch.from_numpy(images()) - net.mean) / net.std, []
    with torch.no_grad():
        for number, block in enumerate(net.backbone.blocks, start=1):  # type: ignore[attr-defined]
            now = block(now)
            if number in stages:
                found.append(now.mean(dim=(2, 3)))
    return torch.cat(found, dim=1).numpy()


def test_stages_are_averaged_over_places_and_stand_side_by_side() -> None:
    net = model(features(2, 4, weights="trained"), EMBEDDING, width=4)
    made = net.embed_both(images())
    assert made.space is not None
    np.testing.assert_allclose(made.space[:, :8], by_hand(net, (2, 4)), rtol=1e-5)
    np.testing.assert_array_equal(made.space[:, 8:], made.vectors)
    np.testing.assert_array_equal(made.vectors, net.embed_tensor(images()))
    assert net.space is not None
    assert net.space.dims(net.embedding_dim) == (8, 4)


def test_initial_weights_stay_while_the_backbone_trains() -> None:
    net = model(features(1, 2), features(1, 2, weights="trained"), width=4)
    before, first = by_hand(net, (1, 2)), net.embed_both(images()).space
    after = trained(net).embed_both(images()).space
    assert first is not None
    assert after is not None
    np.testing.assert_array_equal(after[:, :8], first[:, :8])
    np.testing.assert_allclose(after[:, :8], before, rtol=1e-5)
    assert np.abs(after[:, 8:] - first[:, 8:]).max() > 1e-3


def test_initial_is_what_a_warm_start_gave_and_pretrained_what_was_before_it() -> None:
    net = model(features(1), features(1, weights="pretrained"), width=4)
    made = by_hand(net, (1,))
    with torch.no_grad():
        for weight in net.backbone.parameters():  # type: ignore[attr-defined]
            weight.mul_(2)
    net.begins()
    given, space = by_hand(net, (1,)), trained(net).embed_both(images()).space
    assert space is not None
    np.testing.assert_allclose(space, np.concatenate([given, made], axis=1), rtol=1e-5)
    assert np.abs(given - made).max() > 1e-3


def test_a_model_read_back_gives_the_same_space_and_holds_what_it_needs() -> None:
    net = trained(model(features(2, 3), EMBEDDING, width=4))
    again = load_model(dict(net.files()), REGISTRIES, "here")
    for one, two in zip(
        (net.embed_both(images()).vectors, net.embed_both(images()).space),
        (again.embed_both(images()).vectors, again.embed_both(images()).space),
        strict=True,
    ):
        np.testing.assert_array_equal(one, two)
    assert again.digest() == net.digest()


def test_a_model_without_a_space_is_written_as_before() -> None:
    files = dict(model(width=4).files())
    assert b"space" not in files["model.json"]
    assert json.loads(files["model.json"])["version"] == 3


@pytest.mark.parametrize(
    ("backbone", "stages"),
    [("conv2", 2), ("conv4", 4), ("conv6", 6), ("vgg", 4), ("resnet12", 4), ("resnet18", 4)],
)
def test_every_built_in_backbone_counts_its_stages(backbone: str, stages: int) -> None:
    special: dict[str, Any] = {
        "vgg": {"stages": ((4,), (4, 4), (8,))}, "resnet18": {"width": 4, "image_size": 32}
    }  # fmt: skip
    options = special.get(backbone, {"width": 4})
    net = model(features(*range(1, stages + 1)), backbone=backbone, **options)
    assert net.space is not None
    assert len(net.space.dims(1)) == 1
    with pytest.raises(DataError, match=f"stage {stages + 1}, but this backbone has {stages}, counted from 1"):
        model(features(stages + 1), backbone=backbone, **options)


def test_efficientnet_counts_its_sixteen_blocks() -> None:
    options = {"image_size": 32}
    net = model(features(*range(11, 17)), backbone="efficientnet_lite0", **options)
    assert net.space is not None
    assert net.space.dims(1280) == (112 + 4 * 192 + 320,)
    with pytest.raises(DataError, match="stage 17, but this backbone has 16"):
        model(features(17), backbone="efficientnet_lite0", **options)


def test_several_looks_are_averaged() -> None:
    blueprint = model(features(2), width=4).blueprint
    views = EmbedOptions(views=3, warp=WarpOptions(degrees=20))
    net = build_model(Blueprint(**{**vars(blueprint), "embed": views}), REGISTRIES).eval()
    looks = [net.embeddings_and_space(torch.from_numpy(images()))[1]]
    one = model(features(2), width=4).embed_both(images()).space
    assert one is not None
    assert looks[0].shape == one.shape
    assert np.abs(looks[0].detach().numpy() - one).max() > 1e-4


def test_turns_are_embedded_and_the_space_is_of_the_image_as_it_stands() -> None:
    blueprint = model(features(2), width=4).blueprint
    turned = build_model(Blueprint(**{**vars(blueprint), "embed": EmbedOptions(rotations=(180,))}), REGISTRIES)
    upright = build_model(blueprint, REGISTRIES)
    both, alone = turned.embed_both(images()), upright.embed_both(images())
    np.testing.assert_array_equal(both.vectors, turned.embed_tensor(images()))
    assert both.vectors.shape[1] == turned.embedding_dim == 2 * upright.embedding_dim
    assert both.space is not None
    assert alone.space is not None
    np.testing.assert_array_equal(both.space, alone.space)


def test_threads_that_embed_at_once_do_not_take_each_others_features() -> None:
    net = model(features(1, 2, weights="trained"), width=4)
    batches = [images()[row : row + 1] for row in range(3)]
    alone = [net.embed_both(batch).space for batch in batches]
    wrong: list[int] = []

    def ask(row: int) -> None:
        for _ in range(20):
            if not np.allclose(net.embed_both(batches[row]).space, alone[row], atol=1e-5):  # type: ignore[arg-type]
                wrong.append(row)

    threads = [threading.Thread(target=ask, args=(row,)) for row in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_backbone_that_names_no_stages_or_gives_no_tensor_is_told() -> None:
    class Silent(nn.Module):
        """No stages."""

    from nearkin.spaces import OutlierSpace

    with pytest.raises(DataError, match="this backbone names no stages"):
        OutlierSpace((features(1),), Silent())  # type: ignore[arg-type]
    with pytest.raises(PluginError, match="stage 2 of the backbone gave tuple"):
        pooled((torch.zeros(1),), 2)


def test_tokens_are_averaged_and_vectors_stay() -> None:
    tokens = torch.arange(12.0).view(1, 3, 4)
    assert torch.equal(pooled(tokens, 1), tokens.mean(dim=1))
    assert torch.equal(pooled(tokens[0], 1), tokens[0])


def test_a_method_that_no_index_serves_takes_none(monkeypatch: pytest.MonkeyPatch) -> None:
    blueprint = model(features(1), width=4).blueprint
    kind = type(build_model(blueprint, REGISTRIES).method)
    monkeypatch.setattr(kind, "no_index", "Its embeddings depend on the support.", raising=False)
    with pytest.raises(UsageError, match=r"unknown\.space does not go with this method"):
        build_model(blueprint, REGISTRIES)
