"""Images as a caller hands them in, as a list: other containers, and embeddings in an image's place, are refused."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from nearkin.errors import IndexCallError, listing


def items_of(given: Any, dim: int) -> list[Any]:
    """One image, or a list or tuple of them -> a list. `dim`: how wide embeddings are here."""
    many = isinstance(given, (list, tuple))
    if not many and _is_container(given):
        how = "list(x.values())" if isinstance(given, Mapping) else "list(x)"
        raise IndexCallError(
            f"a {type(given).__name__} is neither an image (a path, a PIL image, an array) nor a list of them. "
            f"Where it holds images, give a list: {how}."
        )
    items = list(given) if many else [given]
    _refuse_embeddings(items, dim)
    return items


def _is_container(given: Any) -> bool:
    """Whether it holds several things, and is none that can be, or can be taken for, an image."""
    one = isinstance(given, (str, bytes, os.PathLike, np.ndarray))
    return isinstance(given, Iterable) and not (one or hasattr(given, "detach") or hasattr(given, "read"))


def _refuse_embeddings(items: list[Any], dim: int) -> None:
    """A matrix of embeddings would be read as the brightness of one picture; a square one is taken to be a picture."""
    found = [item for item in items if is_embedding(item, dims=(2,)) and len(item) != item.shape[1] == dim]
    if found:
        shapes = listing(dict.fromkeys(str(tuple(item.shape)) for item in found))
        raise IndexCallError(
            f"a float array of shape {shapes} stands where an image is wanted, and looks like embeddings, which are "
            f"{dim} wide here. Give embeddings to the index as one (n, {dim}) array: numpy.concatenate joins several. "
            f"Give an image that is {dim} pixels wide as (h, w, 1)."
        )


def is_embedding(value: Any, dims: tuple[int, ...]) -> bool:
    """Whether it is a float array or tensor of so many dimensions."""
    if hasattr(value, "detach"):  # a torch tensor, told without importing torch
        return bool(value.is_floating_point()) and value.ndim in dims
    return isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.ndim in dims
