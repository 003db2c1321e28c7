"""Embeddings are kept by image and model, and dropped with the model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nearkin import load_registries
from nearkin.blueprint import Blueprint
from nearkin.data import ImageStore, Item, open_source
from nearkin.embeddings import EmbeddingCache
from nearkin.errors import DamagedError, WorkFailed
from nearkin.model import Model, build_model
from nearkin.recipe.contrast import PercentileOptions
from nearkin.recipe.data_options import DataOptions
from nearkin.recipe.model import Selection
from nearkin.recipe.preparation import Preparation

REGISTRIES = load_registries(entry_points=False)
SOURCE = open_source(DataOptions(source="digits"))
PLAIN = Preparation()
ITEMS: tuple[Item, ...] = SOURCE.items[:6]


def model(seed: int = 0, preparation: Preparation = PLAIN) -> Model:
    def chosen(kind: str, name: str, **options: object) -> Selection:
        return Selection(kind, name, REGISTRIES.of(kind).get(name).options(**options))  # type: ignore[arg-type]

    backbone = chosen("backbone", "conv2", image_size=16, width=4)
    return build_model(
        Blueprint(
            seed,
            ("0", "1"),
            (backbone,),
            chosen("method", "embedding"),
            chosen("loss", "contrastive"),
            preparation=preparation,
        ),
        REGISTRIES,
    )


@pytest.fixture
def store() -> ImageStore:
    return ImageStore.load(SOURCE, ITEMS, model().input)


def test_kept_embeddings_are_the_models_in_the_order_asked_for(tmp_path: Path, store: ImageStore) -> None:
    net = model()
    first = EmbeddingCache(tmp_path, net).embed(store, ITEMS[:4]).vectors
    again = EmbeddingCache(tmp_path, net).embed(store, ITEMS[::-1]).vectors
    np.testing.assert_array_equal(first, again[::-1][:4])
    np.testing.assert_allclose(again, net.embed_tensor(store.images(ITEMS[::-1])), atol=1e-6)


def test_another_models_embeddings_are_never_handed_out(tmp_path: Path, store: ImageStore) -> None:
    old = EmbeddingCache(tmp_path, model(0)).embed(store, ITEMS).vectors
    new = EmbeddingCache(tmp_path, model(1)).embed(store, ITEMS).vectors
    assert not np.allclose(old, new)


def test_a_changed_byte_is_refused(tmp_path: Path, store: ImageStore) -> None:
    EmbeddingCache(tmp_path, model()).embed(store, ITEMS)
    path = next(tmp_path.glob("vectors*"))
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(DamagedError, match=path.name):
        EmbeddingCache(tmp_path, model())


def test_with_a_contrast_an_image_is_known_by_what_it_became(tmp_path: Path, store: ImageStore) -> None:
    """The digest is of the pixels that a file shows; a window is laid on its whole range, which may change alone."""
    windowed = model(preparation=Preparation(contrast=PercentileOptions(type="percentile")))
    names = store.names()
    other = ImageStore(names["keys"], 1 - store.all_images, names["digests"])
    before = EmbeddingCache(tmp_path / "embeddings", windowed).embed(store, ITEMS).vectors
    after = EmbeddingCache(tmp_path / "embeddings", windowed).embed(other, ITEMS).vectors
    assert np.abs(after - before).max() > 1e-3
    np.testing.assert_array_equal(EmbeddingCache(tmp_path / "embeddings", windowed).embed(store, ITEMS).vectors, before)


def test_of_no_images_there_are_no_embeddings(tmp_path: Path, store: ImageStore) -> None:
    assert EmbeddingCache(tmp_path / "embeddings", model()).embed(store, []).vectors.shape[0] == 0


def test_where_they_cannot_be_kept_is_an_error_or_told_and_gone_on_with(tmp_path: Path, store: ImageStore) -> None:
    (tmp_path / "embeddings").write_text("in the way")
    with pytest.raises(WorkFailed, match="could not be saved"):
        EmbeddingCache(tmp_path / "embeddings", model()).embed(store, ITEMS)
    told: list[str] = []
    found = EmbeddingCache(tmp_path / "embeddings", model(), unkept=told.append).embed(store, ITEMS)
    assert np.array_equal(found.vectors, EmbeddingCache(tmp_path / "other", model()).embed(store, ITEMS).vectors)
    assert told[0].startswith("going on, though embeddings are not kept for next time")
