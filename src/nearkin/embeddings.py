"""Embeddings kept in the run, by image and model: each image is embedded once."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from safetensors.numpy import load, save

from nearkin.contracts import Embedded, FloatArray
from nearkin.data import ImageStore, Item
from nearkin.errors import WorkFailed
from nearkin.files import MANIFEST, read_bundle, save_bundle, sha256, to_json
from nearkin.model import Model
from nearkin.parsing import bounded_tensors, parsing

FORMAT, VERSION = "nearkin embeddings", 1


class EmbeddingCache:
    """The embeddings of one model under one folder. Another model's are dropped: its hash would differ.

    `unkept` is told, once, where the folder cannot be written; without it, that is a `WorkFailed`.
    """

    def __init__(self, folder: Path, model: Model, *, unkept: Callable[[str], None] | None = None) -> None:
        self.folder = folder
        self.model = model
        self.unkept = unkept
        self._told = False
        self.model_digest = model.digest()
        self._width = model.embedding_dim + sum(model.space.dims(model.embedding_dim) if model.space else ())
        self._rows = self._read()
        """By image: the embedding and, beside it, the place in the outlier score's space."""

    def embed(self, store: ImageStore, items: Sequence[Item]) -> Embedded:
        """Embeddings of the items, in their order; what is new is computed and kept."""
        keys = self._keys(store, items)
        new = {key: item for key, item in zip(keys, items, strict=True) if key not in self._rows}
        if new:
            made = self.model.embed_both(store.images(list(new.values())))
            rows = made.vectors if made.space is None else np.concatenate([made.vectors, made.space], axis=1)
            self._rows.update(zip(new, rows, strict=True))
            self._keep()
        dim = self.model.embedding_dim
        found = np.stack([self._rows[key] for key in keys]) if keys else np.zeros((0, self._width), np.float32)
        vectors, space = np.ascontiguousarray(found[:, :dim]), np.ascontiguousarray(found[:, dim:])
        return Embedded(vectors, space=space if self.model.space else None)

    def _read(self) -> dict[str, FloatArray]:
        if not (self.folder / MANIFEST).exists():
            return {}
        bundle = read_bundle(self.folder, format_name=FORMAT, version=VERSION)
        if bundle.meta.get("model") != self.model_digest:
            return {}
        with parsing(self.folder):
            vectors: FloatArray = load(bounded_tensors(bundle.files["vectors.safetensors"]))["vectors"]
            digests: list[str] = json.loads(bundle.files["digests.json"])
            if vectors.dtype != np.float32 or vectors.shape != (len(digests), self._width):
                raise ValueError(f"{len(digests)} digests, {vectors.dtype} vectors of {vectors.shape}.")
            return dict(zip(digests, vectors, strict=True))

    def _keys(self, store: ImageStore, items: Sequence[Item]) -> Sequence[str]:
        """The images' digests; with a contrast, what it made of them too: it rests on values that no digest knows."""
        digests = store.digests(items)
        if self.model.blueprint.preparation.contrast is None:
            return digests
        return [
            f"{digest} {sha256(image.tobytes())}" for digest, image in zip(digests, store.images(items), strict=True)
        ]

    def _keep(self) -> None:
        try:
            self._write()
        except WorkFailed as error:
            if self.unkept is None:
                raise
            if not self._told:
                self.unkept(f"going on, though embeddings are not kept for next time: {error}")
            self._told = True

    def _write(self) -> None:
        vectors = np.stack(list(self._rows.values()))
        files = {"vectors.safetensors": save({"vectors": vectors}), "digests.json": to_json(list(self._rows))}
        save_bundle(self.folder, files, {"model": self.model_digest}, format_name=FORMAT, version=VERSION)
