"""A trained model: backbone and method in one module, saved as safetensors and JSON, rebuilt from them alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from nearkin.blueprint import Blueprint, described, plain
from nearkin.contracts import Backbone, Build, Embedded, FloatArray, InputSpec, IntArray, Loss, Method, Structure
from nearkin.data.images import BadImage, Picture, decode
from nearkin.data.preparing import prepared
from nearkin.discriminant import discriminated
from nearkin.errors import DamagedError, DataError, PartError, UsageError, blaming, listing
from nearkin.files import sha256, to_json
from nearkin.halves import second_half
from nearkin.looks import Looks
from nearkin.making import compared, make, make_backbone, make_method
from nearkin.modes import evaluating, seeded
from nearkin.parsing import bounded_tensors
from nearkin.registry import Registries
from nearkin.rotation import RotationTask
from nearkin.spaces import OutlierSpace

WEIGHTS, DESCRIPTION = "model.safetensors", "model.json"
VERSION, WITH_SPACE, SIDE_BY_SIDE, TURNED = 3, 4, 5, 6
"""6 has looks that are turned; 5 several backbones; 4 a space of its own for the outlier score, or a second task; 3
says how images are prepared, before it none; 2 how they are embedded, before it each once."""
READABLE = (1, 2, 3, 4, 5, 6)
EMBED_BATCH = 64
"""Images at a time: large enough to keep two cores busy, small enough for any memory."""


class Forward(NamedTuple):
    """What a training step is made of."""

    loss: Tensor
    """A scalar."""
    embeddings: Tensor
    """(b, d), before the method's transform."""


class Model(nn.Module):
    """Images in [0, 1] to a loss (training) or to transformed embeddings (everything else)."""

    mean: Tensor
    std: Tensor

    def __init__(self, blueprint: Blueprint, backbone: Backbone, method: Method, loss: Loss | None = None) -> None:
        super().__init__()
        self.blueprint = blueprint
        self.backbone = backbone
        self.method = method
        self.input = backbone.input
        self.loss_weights = tuple(loss.parameters()) if isinstance(loss, nn.Module) else ()
        """Those of the recipe's loss, which are the method's too."""
        self.looks = Looks(blueprint.embed, backbone.input, blueprint.seed)
        self.space = OutlierSpace(blueprint.space, backbone) if blueprint.space else None
        self.rotation = RotationTask(blueprint.rotation, backbone) if blueprint.rotation else None
        self.trained_on: frozenset[str] = frozenset()
        """Digests of the images that trained it or an ancestor."""
        self.trained_groups: frozenset[str] = frozenset()
        """The groups (patients) that those are of."""
        self.saved: Mapping[str, bytes] = {}
        """The files it was loaded from: a loaded model keeps its hash, whatever options later versions add."""
        shape = (1, backbone.input.channels, 1, 1)
        self.register_buffer("mean", torch.tensor(backbone.input.mean).view(shape), persistent=False)
        self.register_buffer("std", torch.tensor(backbone.input.std).view(shape), persistent=False)
        # Convolutions train a third faster so, in bfloat16 three quarters.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it

    def forward(self, images: Tensor, labels: Tensor, structure: Structure) -> Forward:
        """(b, channels, h, w) in [0, 1], (b,) class codes, positions -> loss. Each image is embedded once.

        What a frozen half of the backbone has made of the images already comes as (b, f).
        """
        embeddings = (self.raw(images) if images.ndim > 2 else second_half(self.backbone, images)).float()
        # Whatever the network's precision, distances and losses are float32.
        with torch.autocast(images.device.type, enabled=False):
            loss = self.method.loss(embeddings, labels, structure)
        if self.rotation is not None:
            loss = loss + self.rotation((images - self.mean) / self.std, self.backbone)
        return Forward(loss, embeddings)

    def raw(self, images: Tensor) -> Tensor:
        """(b, channels, h, w) in [0, 1] -> (b, d), before the method's transform."""
        return self.backbone((images - self.mean) / self.std)

    @property
    def no_index(self) -> str:
        """Why no index can serve the method; nothing where one can."""
        return str(getattr(self.method, "no_index", ""))

    @property
    def embedding_dim(self) -> int:
        """Of what `embed_tensor` gives: the backbone's, so many times as there are looks and turns side by side."""
        return self.backbone.embedding_dim * self.looks.side_by_side

    @torch.inference_mode()
    def embed_tensor(self, images: FloatArray, *, one_look: bool = False) -> FloatArray:
        """(n, channels, h, w) in [0, 1] -> (n, d) float32, transformed; in evaluation mode.

        `one_look`: of the image as it is alone, whatever the recipe's `embed` says.
        """
        return self._in_chunks(images, lambda chunk: (self.embeddings(chunk, one_look),))[0]

    @torch.inference_mode()
    def embed_both(self, images: FloatArray) -> Embedded:
        """(n, channels, h, w) in [0, 1] -> embeddings, and where the images lie in the outlier score's space."""
        if self.space is None:
            return Embedded(self.embed_tensor(images))
        vectors, space = self._in_chunks(images, self.embeddings_and_space)
        return Embedded(vectors, space=space)

    def _in_chunks(self, images: FloatArray, embed: Callable[[Tensor], tuple[Tensor, ...]]) -> list[FloatArray]:
        chunks = np.split(images, range(EMBED_BATCH, len(images), EMBED_BATCH))
        device = next(self.parameters()).device
        # An index holds one precision's embeddings, whatever its caller does beside.
        with evaluating(self), torch.autocast(device.type, enabled=False), blaming(self.blueprint.said):
            made = [embed(torch.from_numpy(chunk).to(device)) for chunk in chunks]
        columns = (torch.cat([part.cpu() for part in parts]) for parts in zip(*made, strict=True))
        return [cast(FloatArray, column.numpy().astype(np.float32, copy=False)) for column in columns]

    def embeddings(self, images: Tensor, one_look: bool = False) -> Tensor:
        """(b, channels, h, w) in [0, 1] on the model's device -> (b, d), transformed; several looks are joined."""
        looks = [(images,)] if one_look else self.looks.of(images)
        return self.looks.joined([[self.raw(turned) for turned in look] for look in looks], self.method)

    def embeddings_and_space(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(b, channels, h, w) in [0, 1] -> (b, d) as `embeddings`, and (b, e) in the space.

        The space is of the image as it stands: the mean over looks, none of them turned.
        """
        assert self.space is not None, "this model has a space of its own for the outlier score"
        raws, spaces = [], []
        for look, *turns in self.looks.of(images):
            raw, found = self.space((look - self.mean) / self.std, self.backbone)
            raws.append([raw, *map(self.raw, turns)])
            spaces.append(found)
        embeddings = self.looks.joined(raws, self.method)
        parts = [embeddings if one[0] is None else torch.stack(one).mean(dim=0) for one in zip(*spaces, strict=True)]
        return embeddings, torch.cat(parts, dim=1)

    def begins(self) -> None:
        """The backbone is now as it is before the first step: what `initial` means of a space."""
        if self.space is not None:
            self.space.begins(self.backbone)

    @torch.inference_mode()
    def compare(self, queries: FloatArray, support: FloatArray, support_labels: IntArray) -> FloatArray:
        """(q, d), (s, d) transformed, (s,) codes 0..c-1 -> (q, c) scores by the method's rule, higher is closer."""
        device = next(self.parameters()).device
        asked, given, codes = (torch.from_numpy(part).to(device) for part in (queries, support, support_labels))
        embed = self.blueprint.embed
        if embed.discriminant is not None:
            asked, given = discriminated(asked, given, codes, views=embed.views, ridge=embed.discriminant)
        scores = compared(self.method, asked, given, codes, f"the method {self.blueprint.method.type}")
        return cast(FloatArray, scores.cpu().numpy())

    def embed(self, images: Sequence[Any]) -> Embedded:
        """Paths, PIL images or arrays -> their embeddings, as the index takes them. All bad images are told at once."""
        pictures, bad = [], []
        for image in images:
            try:
                pictures.append(decode(image))
            except BadImage as error:
                bad.append(error)
        if bad:
            raise bad[0] if len(bad) == 1 else DataError("\n".join(map(str, bad)))
        return replace(
            self.embed_both(self._stack(pictures)),
            digests=tuple(picture.digest for picture in pictures),
            sources=tuple(picture.source for picture in pictures),
        )

    def _stack(self, pictures: Sequence[Picture]) -> FloatArray:
        shape = (0, self.input.channels, *self.input.size)
        return np.stack([self.prepare(one) for one in pictures]) if pictures else np.zeros(shape, np.float32)

    def prepare(self, picture: Picture) -> FloatArray:
        """(channels, h, w) in [0, 1]: a decoded image prepared as the model asks, at its size."""
        return prepared(picture, self.input, self.blueprint.preparation)

    def files(self) -> dict[str, bytes]:
        """The model as the run folder and a saved index hold it."""
        if self.saved:
            self._refuse_changed()
            return dict(self.saved)
        weights = {name: tensor.detach().cpu().contiguous() for name, tensor in self.state_dict().items()}
        description = {
            "version": self._format_version,
            **plain(self.blueprint),
            "input": asdict(self.input),
            "metric": self.method.metric,
            "class_rule": self.method.class_rule,
            "embedding_dim": self.embedding_dim,
            "trained_on": sorted(self.trained_on),
            "trained_groups": sorted(self.trained_groups),
        }
        return {WEIGHTS: save(weights), DESCRIPTION: to_json(description)}

    def _refuse_changed(self) -> None:
        """`UsageError` where its weights are not those of its files: what was embedded before is not of them."""
        now, then = self.state_dict(), load(self.saved[WEIGHTS])
        other = [name for name, was in then.items() if not torch.equal(now[name].detach().cpu(), was)]
        if other:
            raise UsageError(
                f"the weights of this model are not those that it was opened with ({listing(other)}), so neither "
                "its run nor its index is of it. Open the run again; to go on from a run's weights, train with "
                "backbone.init_from."
            )

    @property
    def _format_version(self) -> int:
        """The earliest format that can say what this model has, so that who lacks the new keeps the old bytes."""
        if self.blueprint.embed.rotations:
            return TURNED
        if len(self.blueprint.backbones) > 1:
            return SIDE_BY_SIDE
        return WITH_SPACE if self.space or self.rotation else VERSION

    def digest(self) -> str:
        """A hash of weights and description: what embeddings are kept under."""
        return sha256(b"".join(self.files().values()))


def build_model(blueprint: Blueprint, registries: Registries, *, weights_follow: bool = False) -> Model:
    """An untrained model: its first weights follow the seed alone, and the global generator is left as it was.

    `weights_follow`: a trained model's are loaded next, so none need be fetched from elsewhere.
    """
    build = Build(seed=blueprint.seed, classes=blueprint.classes, weights_follow=weights_follow)
    with seeded(blueprint.seed):
        backbone = make_backbone(blueprint.backbones, build, registries)
        build = replace(build, input=backbone.input, embedding_dim=backbone.embedding_dim)
        loss: Loss | None = make(blueprint.loss, build, registries, wants=("__call__",)) if blueprint.loss else None
        method = make_method(blueprint.method, replace(build, loss=loss), registries)
        model = Model(blueprint, backbone, method, loss)
    if model.no_index:
        blueprint.refuse_what_needs_an_index(model.no_index)
    return model


def load_model(files: Mapping[str, bytes], registries: Registries, where: str) -> Model:
    """The model that `Model.files` described. Errors name `where`."""
    if missing := sorted({WEIGHTS, DESCRIPTION} - set(files)):
        raise DamagedError(f"{where}: its manifest lists no {listing(missing)}, so its model cannot be opened.")
    description = _read_description(files[DESCRIPTION], where)
    try:
        blueprint, weights = described(description, registries), load(bounded_tensors(files[WEIGHTS]))
        _check_sizes(blueprint, registries, weights)
        model = build_model(blueprint, registries, weights_follow=True)
        model.load_state_dict(weights)
        model.trained_on = frozenset(description["trained_on"])
        model.trained_groups = frozenset(description.get("trained_groups", ()))
        model.saved = {name: files[name] for name in (WEIGHTS, DESCRIPTION)}
        trained = {**description, "input": InputSpec(**description["input"])}
    except (KeyError, TypeError, ValueError, RuntimeError, SafetensorError, PartError) as error:
        raise DamagedError(
            f"{where}: weights and description do not belong together, or the installed plugin changed: {error}"
        ) from error
    now = {"input": model.input, "metric": model.method.metric, "class_rule": model.method.class_rule}
    for name, value in {**now, "embedding_dim": model.embedding_dim}.items():
        if trained.get(name, value) != value:
            raise DamagedError(
                f"{where}: was trained with the {name} {trained[name]}, and has {value} by what is installed here: its "
                "plugin changed. Install the version that the run's manifest names."
            )
    return model.eval()


def _check_sizes(blueprint: Blueprint, registries: Registries, weights: Mapping[str, Tensor]) -> None:
    """`ValueError` where a description asks for more memory than its weights fill; told before any is taken."""
    try:
        with torch.device("meta"):
            planned = build_model(blueprint, registries, weights_follow=True).state_dict()
    except (RuntimeError, TypeError, PartError):  # a plugin's part that cannot be planned without memory
        return
    differ = [name for name, tensor in weights.items() if name in planned and planned[name].shape != tensor.shape]
    differ += sorted(set(planned) ^ set(weights))
    if differ:
        raise ValueError(f"the described model has other sizes or names of {listing(differ)} than its weights")


def _read_description(data: bytes, where: str) -> dict[str, Any]:
    try:
        description = json.loads(data)
        version = description["version"]
    except (ValueError, TypeError, KeyError) as error:
        raise DamagedError(f"{where}: {DESCRIPTION} cannot be read: {error}") from error
    if version not in READABLE:
        raise DamagedError(f"{where}: {DESCRIPTION} has format version {version}; this nearkin reads {READABLE}.")
    return cast(dict[str, Any], description)
