"""Opening, changing and saving an index on disk, with the model that it was saved with or another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from nearkin.contracts import Embed, EngineChoice
from nearkin.index.engines import built_in
from nearkin.index.index import Index
from nearkin.index.model_link import ModelFiles, ModelLink
from nearkin.index.scores import built_in as built_in_score
from nearkin.index.settings import ScoreFor
from nearkin.index.storage import holds_model, read
from nearkin.index.writing import writing

EmbedFor = Callable[[Mapping[str, bytes]], Embed]
"""The model's files as saved -> what embeds images."""


EngineFor = Callable[[str, Mapping[str, Any]], EngineChoice]
"""An engine's name and options as saved -> the engine."""


def save(index: Index, folder: Path | str, with_model: bool = True) -> None:
    """`Index.save`, as a function."""
    index.save(folder, with_model=with_model)


def load(
    folder: Path | str,
    embed_for: EmbedFor | None = None,
    *,
    embed: Embed | None = None,
    model_files: ModelFiles | None = None,
    engine_for: EngineFor = built_in,
    score_for: ScoreFor = built_in_score,
) -> Index:
    """An index as it was saved; `DamagedError` where a file is not as it was written.

    The model comes from `embed` and `model_files` where given (a run has its own), else `embed_for` makes it from
    the files that were saved along, if any were. `engine_for` and `score_for` know the engines and outlier scores of
    plugins too.
    """
    folder = Path(folder)
    contents = read(folder, score_for)
    kept = dict(contents.model)
    if kept and embed is None and embed_for is not None:
        embed = embed_for(kept)
    if kept and model_files is None:
        model_files = partial(dict, kept)
    engine = engine_for(contents.engine.type, contents.engine.options)
    model = ModelLink(embed, model_files, contents.model_digest)
    return Index.from_contents(contents, engine, model, (folder.resolve(), contents.state))


@contextmanager
def edit(folder: Path | str, opened: Callable[[], Index]) -> Iterator[Index]:
    """Open, change and save in one go: `with edit(...) as index: index.add(...)`.

    Nobody else can write there meanwhile. What was changed is saved in one step where the block ends well, and not
    at all where it raises. The model is saved along where it was before.
    """
    folder = Path(folder)
    holds_model(folder)  # no lock is left in a folder that holds no index
    with writing(folder):
        had_model = holds_model(folder)
        index = opened()
        before = index.history
        yield index
        if index.history != before:
            index.save(folder, with_model=had_model)
