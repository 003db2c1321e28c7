"""A state as the contents of a folder, and back; those of its folds with it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import BinaryIO

from nearkin.contracts import Build, Engine, EngineChoice
from nearkin.errors import blaming
from nearkin.index.model_link import ModelLink
from nearkin.index.searcher import Searcher, holds
from nearkin.index.state import Fold, State
from nearkin.index.storage import Contents, EngineFile


def contents_of(state: State, engine: EngineChoice, with_model: bool) -> Contents:
    """All of it, the model's files too where they are wanted."""
    made, options = state.searcher.engine, engine.options.model_dump(mode="json", by_alias=True)
    return Contents(
        settings=state.settings,
        references=state.references,
        calibration=state.calibration,
        trained=state.trained,
        reviewed=state.reviewed,
        engine=EngineFile(engine.type, options, made.fingerprint, partial(_write, engine.type, made)),
        model=state.model.files() if with_model and state.model.files else {},
        model_digest=state.model.digest,
        history=state.history,
        folds=tuple(contents_of(fold.state, fold.engine, with_model) for fold in state.folds),
    )


def _write(who: str, engine: Engine, file: BinaryIO) -> None:
    """A full disk is not the engine's fault."""
    with blaming(f"the engine {who}", but=OSError):
        engine.write(file)


def state_of(
    contents: Contents, engine: EngineChoice, model: ModelLink, fold_of: Callable[[int, Contents], Fold]
) -> State:
    """The state that a folder held. `fold_of` opens each of its folds."""
    settings, references = contents.settings, contents.references
    assert isinstance(contents.engine.content, memoryview), "these contents were read"
    empty = engine.make(Build(seed=0, embedding_dim=settings.dim, metric=settings.metric))
    who, held = f"the engine {engine.type}", (references.ids, references.vectors)
    with blaming(who):
        made = holds(empty.opened(contents.engine.content, *held), len(references), who)
    searcher = Searcher(references, made, settings.metric)
    memory = (contents.trained, contents.reviewed)
    folds = tuple(fold_of(number, fold) for number, fold in enumerate(contents.folds))
    return State(settings, references, contents.calibration, *memory, searcher, model, contents.history, folds)
