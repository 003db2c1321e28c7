"""Opening, changing and saving an index on disk, with the model that it was saved with or another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from nearkin.contracts import Embed, EngineChoice
from nearkin.errors import DamagedError
from nearkin.index.contents import state_of
from nearkin.index.engines import built_in
from nearkin.index.engines.choice import saved as saved_engine
from nearkin.index.index import Index
from nearkin.index.model_link import ModelFiles, ModelLink
from nearkin.index.scores import built_in as built_in_score
from nearkin.index.scores.choice import saved as saved_score
from nearkin.index.settings import ScoreFor
from nearkin.index.state import Fold
from nearkin.index.storage import Contents, holds_model, read
from nearkin.index.writing import writing
from nearkin.places import Place
from nearkin.registry import Registries

EmbedFor = Callable[[Mapping[str, bytes]], Embed]
"""The model's files as saved -> what embeds images."""


EngineFor = Callable[[str, Mapping[str, Any]], EngineChoice]
"""An engine's name and options as saved -> the engine."""


def save(index: Index, folder: Path | str, with_model: bool = True) -> None:
    """`Index.save`, as a function."""
    index.save(folder, with_model=with_model)


def saved_parts(registries: Registries) -> dict[str, Any]:
    """`engine_for` and `score_for` of `load`, from these registries: the parts that an index was saved with."""
    return {
        "engine_for": partial(saved_engine, registries.engine),
        "score_for": partial(saved_score, registries.score),
    }


def load(
    folder: Path | str,
    embed_for: EmbedFor | None = None,
    *,
    embed: Embed | None = None,
    model_files: ModelFiles | None = None,
    fold_models: Sequence[ModelLink] = (),
    engine_for: EngineFor = built_in,
    score_for: ScoreFor = built_in_score,
) -> Index:
    """An index as it was saved; `DamagedError` where a file is not as it was written.

    The model comes from `embed` and `model_files` where given (a run has its own), else `embed_for` makes it from
    the files that were saved along, if any were; so do those of a cross-conformal calibration's folds, from
    `fold_models`. `engine_for` and `score_for` know the engines and outlier scores of plugins too.
    """
    folder = Path(folder)
    contents = read(folder, score_for)
    opened = partial(_opened, embed_for=embed_for, engine_for=engine_for)

    def fold_of(number: int, fold: Contents) -> Fold:
        link = fold_models[number] if number < len(fold_models) else ModelLink()
        if link.digest not in ("", fold.model_digest):
            raise DamagedError(f"{folder}: fold {number + 1} was made with another model. Restore it from a copy.")
        return opened(fold, link, fold_of)

    whole = opened(contents, ModelLink(embed, model_files), fold_of)
    return Index.from_state(whole.state, whole.engine, (folder.resolve(), contents.state))


def _opened(
    contents: Contents, link: ModelLink, fold_of: Callable[[int, Contents], Fold], *,
    embed_for: EmbedFor | None, engine_for: EngineFor,
) -> Fold:  # fmt: skip
    """Contents with their engine and model: the one that is linked, else the one that was saved along."""
    kept = dict(contents.model)
    embed = link.embed
    if kept and embed is None and embed_for is not None:
        embed = embed_for(kept)
    files = partial(dict, kept) if kept and link.files is None else link.files
    engine = engine_for(contents.engine.type, contents.engine.options)
    model = ModelLink(embed, files, contents.model_digest)
    return Fold(state_of(contents, engine, model, fold_of), engine)


@contextmanager
def edit(folder: Path | str, opened: Callable[[], Index]) -> Iterator[Index]:
    """Open, change and save in one go: `with edit(...) as index: index.add(...)`.

    Nobody else can write there meanwhile. What was changed is saved in one step where the block ends well, and not
    at all where it raises. The model is saved along where it was before.
    """
    place = Place(folder)
    holds_model(place.path)  # no lock is left in a folder that holds no index
    with writing(place.path):
        had_model = holds_model(place.path)
        index = opened()
        before = index.history
        yield index
        if index.history != before:
            index.save(place.path, with_model=had_model)
