"""Opening and saving an index, with the model that it was saved with or another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from nearkin.contracts import Embed
from nearkin.index.index import Index, ModelFiles
from nearkin.index.storage import read

EmbedFor = Callable[[Mapping[str, bytes]], Embed]
"""The model's files as saved -> what embeds images."""


def save(index: Index, folder: Path | str, with_model: bool = True) -> None:
    """`Index.save`, as a function."""
    index.save(folder, with_model=with_model)


def load(
    folder: Path | str,
    embed_for: EmbedFor | None = None,
    *,
    embed: Embed | None = None,
    model_files: ModelFiles | None = None,
) -> Index:
    """An index as it was saved; `DamagedError` where a file is not as it was written.

    The model comes from `embed` and `model_files` where given (a run has its own), else `embed_for` makes it from
    the files that were saved along, if any were.
    """
    contents = read(Path(folder))
    kept = dict(contents.model)
    if kept and embed is None and embed_for is not None:
        embed = embed_for(kept)
    if kept and model_files is None:
        model_files = partial(dict, kept)
    return Index.from_contents(contents, embed, model_files)
