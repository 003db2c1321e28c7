"""Embeddings of many image files: shared among processes, kept shard by shard, so that a killed run goes on.

Under `accelerate launch` every process takes its share of the shards that are missing, and the first one puts all of
them together: the same vectors in the same order as one process makes.
"""

from __future__ import annotations

import json
import re
import shutil
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from accelerate.utils import gather_object
from safetensors.numpy import load, save

from nearkin.contracts import Embedded, FloatArray
from nearkin.data import Item
from nearkin.data.images import BadImage, decode
from nearkin.device import make_accelerator
from nearkin.errors import DataError, UsageError, listing
from nearkin.files import MANIFEST, read_bundle, save_bundle, sha256, to_json
from nearkin.locks import held_alone
from nearkin.model import EMBED_BATCH, Model
from nearkin.parsing import bounded_tensors, parsing
from nearkin.writable import explaining

FORMAT, VERSION = "nearkin embedded shard", 1
VECTORS, DIGESTS = "vectors.safetensors", "digests.json"
USUAL, MOST = 256, 1024
"""Images of a shard: what a kill costs, in each process."""
THREADS = 4
"""That decode beside each process's network."""
LOCK = ".embedding.lock"
OURS = re.compile(rf"[0-9a-f]{{32}}|{re.escape(LOCK)}")

Progress = Callable[[int, int], None]
Fitted = tuple[FloatArray, str]
"""(channels, h, w) and the digest of the whole image."""


@dataclass(frozen=True)
class Shard:
    """Some of the items, in order."""

    name: str
    """A hash of the model and of these files as they are: a changed one belongs to another shard."""
    items: tuple[Item, ...]


def cut(items: Sequence[Item], model_digest: str) -> list[Shard]:
    """All items in shards, in order. A file's name says whether a shard ends after it, so that one that comes or goes
    changes its own shard and no other."""
    shards: list[list[Item]] = [[]]
    for item in items:
        shards[-1].append(item)
        if len(shards[-1]) == MOST or zlib.crc32(item.key.encode()) % USUAL == 0:
            shards.append([])
    return [Shard(_name(shard, model_digest), tuple(shard)) for shard in shards if shard]


def _name(items: Sequence[Item], model_digest: str) -> str:
    files = [(str(item.place), *_as_it_is(Path(str(item.place)))) for item in items]
    return sha256(to_json([model_digest, files]))[:32]


def _as_it_is(path: Path) -> tuple[int, int]:
    """Size and time of change; of a file that is not there, which is told with all other bad ones, zeros."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns


# --------------------------------------------------------------------------------------------------- together


def embed_files(model: Model, items: Sequence[Item], folder: Path, progress: Progress) -> Embedded | None:
    """Embeddings of the items' files, in order; in every process but the first `None`, once its share is done.

    `folder` keeps the shards until `discard` removes them. `DataError` names every image that cannot be used, and
    nothing of the others is lost. `WorkFailed` where others are at work in the folder.
    """
    accelerator = make_accelerator()
    model.to(accelerator.device)
    shards = cut(items, model.digest())
    with _alone(folder, accelerator.is_main_process):
        missing = [shard for shard in shards if not (folder / shard.name / MANIFEST).exists()]
        accelerator.wait_for_everyone()  # all must see the same ones missing before any is made
        share = missing[accelerator.process_index :: accelerator.num_processes]
        bad = _make(model, share, folder, progress, {"process": accelerator.process_index})
        told = gather_object(bad) if accelerator.num_processes > 1 else bad
        if not accelerator.is_main_process:
            return None
        if told:
            said = f"{len(told)} of {len(items)} images cannot be used; the others are kept for the next time:"
            raise DataError("\n".join([said, *sorted(told)]))
        dims = model.space.dims(model.embedding_dim) if model.space else ()
        return _together(shards, folder, {"vectors": model.embedding_dim} | ({"space": sum(dims)} if dims else {}))


@contextmanager
def _alone(folder: Path, is_main: bool) -> Iterator[None]:
    """One run at a time in a folder that holds nothing else; the first process answers for all."""
    if not is_main:
        yield
        return
    _refuse_foreign(folder)
    with explaining(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with held_alone(folder / LOCK, f"{folder}: another process is embedding here. Wait for it, or stop it."):
        yield


def _refuse_foreign(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder}: is a file, where embeddings are to be kept. Move it away.")
    foreign = sorted(path.name for path in folder.iterdir() if not OURS.fullmatch(path.name)) if folder.exists() else []
    if foreign:
        raise UsageError(f"{folder}: holds {listing(foreign)}; embeddings are kept in a folder of their own.")


def discard(folder: Path) -> None:
    """Remove the shards, once what they were made for is safe."""
    _refuse_foreign(folder)
    shutil.rmtree(folder, ignore_errors=True)


def _together(shards: Sequence[Shard], folder: Path, dims: Mapping[str, int]) -> Embedded:
    n = sum(len(shard.items) for shard in shards)
    columns = {name: np.empty((n, dim), dtype=np.float32) for name, dim in dims.items()}
    digests: list[str] = []
    for shard in shards:
        found, said = _read(folder / shard.name, {name: (len(shard.items), dim) for name, dim in dims.items()})
        for name, column in columns.items():
            column[len(digests) : len(digests) + len(said)] = found[name]
        digests += said
    sources = tuple(str(item.place) for shard in shards for item in shard.items)
    return Embedded(columns["vectors"], tuple(digests), sources, columns.get("space"))


def _read(folder: Path, shapes: Mapping[str, tuple[int, int]]) -> tuple[dict[str, FloatArray], list[str]]:
    bundle = read_bundle(folder, format_name=FORMAT, version=VERSION)
    with parsing(folder):
        columns = load(bounded_tensors(bundle.files[VECTORS]))
        digests: list[str] = json.loads(bundle.files[DIGESTS])
        for name, shape in shapes.items():
            if columns[name].dtype != np.float32 or columns[name].shape != shape or len(digests) != shape[0]:
                given = f"{len(digests)} digests and {columns[name].dtype} {name} of {columns[name].shape}"
                raise ValueError(f"{given}, not {shape}.")
    return columns, digests


# ------------------------------------------------------------------------------------------------------ alone


def _make(
    model: Model, shards: Sequence[Shard], folder: Path, progress: Progress, made_by: Mapping[str, int]
) -> list[str]:
    """Make one process's share; what is wrong with images that cannot be used. Their shards are left out."""
    bad: list[str] = []
    done, total = 0, sum(len(shard.items) for shard in shards)
    with ThreadPoolExecutor(THREADS) as threads:
        for shard in shards:
            parts: list[Embedded] = []
            digests: list[str] = []
            found_bad = len(bad)
            for chunk in _decoded(model, shard.items, threads):
                bad += [str(image) for image in chunk if isinstance(image, BadImage)]
                if len(bad) == found_bad:
                    fitted = [image for image in chunk if not isinstance(image, BadImage)]
                    parts.append(model.embed_both(np.stack([pixels for pixels, _ in fitted])))
                    digests += [digest for _, digest in fitted]
                done += len(chunk)
                progress(done, total)
            if len(bad) == found_bad:
                files = {VECTORS: save(_columns(parts)), DIGESTS: to_json(digests)}
                save_bundle(folder / shard.name, files, made_by, format_name=FORMAT, version=VERSION)
    return bad


def _decoded(model: Model, items: Sequence[Item], threads: ThreadPoolExecutor) -> Iterator[list[Fitted | BadImage]]:
    """Batch after batch; the next one is decoded while the last one is embedded."""

    def one(item: Item) -> Fitted | BadImage:
        try:
            picture = decode(str(item.place))
            return model.prepare(picture), picture.digest
        except BadImage as bad:
            return bad

    waiting: list[Future[Fitted | BadImage]] = []
    for start in range(0, len(items) + EMBED_BATCH, EMBED_BATCH):
        coming = [threads.submit(one, item) for item in items[start : start + EMBED_BATCH]]
        if waiting:
            yield [future.result() for future in waiting]
        waiting = coming


def _columns(parts: Sequence[Embedded]) -> dict[str, FloatArray]:
    """Embeddings, and places in the outlier score's space where it has its own."""
    spaces = [part.space for part in parts if part.space is not None]
    space = {"space": np.concatenate(spaces)} if spaces else {}
    return {"vectors": np.concatenate([part.vectors for part in parts]), **space}
