"""References as a file: written piece by piece, checked when read, left where they lie."""

from __future__ import annotations

import codecs
import io
import json
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load

from nearkin.contracts import FloatArray
from nearkin.files import Bundle
from nearkin.index.inputs import id_problems, refuse, text_problems, vector_problems
from nearkin.index.references import TEXTS, References
from nearkin.index.settings import Settings
from nearkin.index.tensors import read_tensors, write_tensors
from nearkin.index.texts import LONE, Coded, Packed
from nearkin.parsing import bounded_tensors, parsing

CODED = ("labels", "groups")
PIECE = 2**24
"""Bytes looked at a time."""


def tensor(tensors: Mapping[str, NDArray[Any]], name: str, dtype: Any, dims: int) -> NDArray[Any]:
    """The one of that name; `ValueError` where it is of another type or number of dimensions."""
    found = tensors[name]
    if found.dtype != dtype or found.ndim != dims:
        raise ValueError(f"{name} is {found.dtype} of {found.ndim} dimensions.")
    return found


def write_references(references: References, file: BinaryIO) -> None:
    """All but `next_id`, which stands in the manifest."""
    columns: dict[str, NDArray[Any]] = {
        "vectors": references.vectors,
        "ids": references.ids,
        "trained": references.trained,
        **({} if references.space is None else {"space": references.space}),
    }
    for name in TEXTS:
        texts = getattr(references, name)
        packed = texts.packed if isinstance(texts, Coded) else texts
        columns |= {f"{name}.offsets": packed.offsets, f"{name}.bytes": packed.data}
        columns |= {f"{name}.codes": texts.codes} if isinstance(texts, Coded) else {}
    write_tensors(columns, file)


def read_references(data: memoryview | bytes, settings: Settings, next_id: int) -> References:
    """What `write_references` wrote, in place. `ValueError` or `IndexCallError` for what it cannot have written."""
    tensors = read_tensors(data)
    vectors = tensor(tensors, "vectors", np.float32, 2)
    ids, trained = tensor(tensors, "ids", np.int64, 1), tensor(tensors, "trained", np.bool_, 1)
    texts: dict[str, Any] = {name: _coded(tensors, name) if name in CODED else _packed(tensors, name) for name in TEXTS}
    refuse(vector_problems(vectors, settings.dim, settings.metric))
    n = len(vectors)
    space = read_space(tensors, settings, n)
    if {len(ids), len(trained), *map(len, texts.values())} != {n}:
        raise ValueError("its columns are of different lengths.")
    if n and (ids[0] < 0 or (np.diff(ids) <= 0).any() or next_id < ids[-1]):
        raise ValueError("its ids do not ascend, or reach beyond the next one.")
    if not np.isin(trained.view(np.uint8), (0, 1)).all():
        raise ValueError("trained is neither true nor false.")
    return References(vectors=vectors, ids=ids, trained=trained, next_id=next_id, space=space, **texts)


def read_space(tensors: Mapping[str, NDArray[Any]], settings: Settings, n: int) -> FloatArray | None:
    """(n, e) the rows in the outlier score's own space; `ValueError` where the settings and the file disagree."""
    if settings.space is None:
        if "space" in tensors:
            raise ValueError("it holds a space that its settings do not name.")
        return None
    space = tensor(tensors, "space", np.float32, 2)
    refuse(settings.space.problems(space, n))
    return space


def _coded(tensors: Mapping[str, NDArray[Any]], name: str) -> Coded:
    codes, words = tensor(tensors, f"{name}.codes", np.int32, 1), _packed(tensors, name)
    if len(codes) and not 0 <= codes.min() <= codes.max() < len(words):
        raise ValueError(f"{name}: its codes name no text.")
    texts = Coded(codes, words)
    if any(one >= two for one, two in pairwise(texts.words)):
        raise ValueError(f"{name}: its texts are not in order.")
    if not np.bincount(codes, minlength=len(words)).all():
        raise ValueError(f"{name}: it holds texts that nothing has.")
    return texts


def _packed(tensors: Mapping[str, NDArray[Any]], name: str) -> Packed:
    offsets, data = tensor(tensors, f"{name}.offsets", np.int64, 1), tensor(tensors, f"{name}.bytes", np.uint8, 1)
    if not len(offsets) or offsets[0] or offsets[-1] != len(data) or (np.diff(offsets) < 0).any():
        raise ValueError(f"{name}: its offsets do not fit.")
    _check_text(offsets, data)
    return Packed(offsets, data)


def _check_text(offsets: NDArray[np.int64], data: NDArray[np.uint8]) -> None:
    """`UnicodeDecodeError` or `ValueError` where not every piece is a text by itself."""
    decoder = codecs.getincrementaldecoder("utf-8")(LONE)
    for start in range(0, len(data), PIECE):
        decoder.decode(data[start : start + PIECE].tobytes())
    decoder.decode(b"", final=True)
    starts = offsets[:-1][offsets[:-1] < len(data)]
    if ((data[starts] & 0xC0) == 0x80).any():
        raise ValueError("a text begins in the middle of a character.")


def migrated(folder: Path, bundle: Bundle) -> Bundle:
    """A bundle of format 1 as one of format 2: texts were JSON beside the vectors, and FAISS's bytes a file."""
    files = dict(bundle.files)
    with parsing(folder / "references.safetensors"):
        tensors = load(bounded_tensors(bytes(bundle.mapped["references.safetensors"])))
    with parsing(folder / "references.json"):
        said = json.loads(files.pop("references.json"))
        refuse(problem for name in TEXTS for problem in text_problems(name, said[name], len(tensors["ids"])))
    with parsing(folder / "references.safetensors"):
        refuse(id_problems(tensors["ids"].tolist(), len(tensors["vectors"]), np.zeros(0, dtype=np.int64)))
        texts: dict[str, Any] = {name: (Coded if name in CODED else Packed).of(said[name]) for name in TEXTS}
        old = References(vectors=tensors["vectors"], ids=tensors["ids"], trained=tensors["trained"], **texts)
    files.pop("faiss.index", None)
    written = io.BytesIO()
    write_references(old, written)
    meta = {**bundle.meta, "engine": {"type": "flat", "options": {}, "fingerprint": "exact"}}
    mapped = {"references.safetensors": written.getbuffer(), "engine.bin": memoryview(b"flat\n")}
    return replace(bundle, meta=meta, files=files, mapped=mapped)
