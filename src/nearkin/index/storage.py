"""An index on disk: a folder whose files are confirmed by hash before any is read, then checked again as parsed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from nearkin.errors import DamagedError, IndexCallError, listing
from nearkin.files import LOCK_SUFFIX, MANIFEST, Bundle, Content, read_bundle, read_manifest, save_bundle
from nearkin.index.calibration import Calibration
from nearkin.index.history import Event, from_lines, to_lines
from nearkin.index.references import References
from nearkin.index.scores import built_in as built_in_score
from nearkin.index.settings import ScoreFor, Settings
from nearkin.index.stored import migrated, read_references, write_references
from nearkin.index.stored_calibration import FILES as CALIBRATION_FILES
from nearkin.index.stored_calibration import (
    MOST_FOLDS,
    read_calibration,
    read_trained,
    write_calibration,
    write_trained,
)
from nearkin.index.trained import Trained
from nearkin.parsing import parsing

Data = TypeVar("Data")
FORMAT, VERSION, OLDER = "nearkin index", 2, (1,)
REFERENCES = "references.safetensors"
ENGINE = "engine.bin"
HISTORY = "history.jsonl"
"""Indexes of the first weeks have none."""
OWN = frozenset({HISTORY, REFERENCES, ENGINE}) | CALIBRATION_FILES
FOLD = re.compile(r"fold\d+\.")
"""What the files of a fold begin with: `fold0.references.safetensors`."""
IN_PLACE = frozenset(
    prefix + name for prefix in ("", *(f"fold{i}." for i in range(MOST_FOLDS))) for name in (REFERENCES, ENGINE)
)
OWN_ONCE = frozenset({"references.json", "faiss.index"})
"""Of format 1."""
A_BUNDLE_WRITES = re.compile(rf"manifest\.json|.+-[0-9a-f]{{16}}(\..*)?|\..+\.tmp|\..+{re.escape(LOCK_SUFFIX)}")


@dataclass(frozen=True)
class EngineFile:
    """Which engine an index has, and what it wrote."""

    type: str
    options: Mapping[str, Any]
    fingerprint: str
    """Of the engine that the calibration was scored through."""
    content: Callable[[BinaryIO], None] | memoryview
    """What writes it; or, where it was read, the file in place."""


@dataclass(frozen=True)
class Contents:
    """All that an index folder holds."""

    settings: Settings
    references: References
    calibration: Calibration
    trained: Trained
    reviewed: Trained
    engine: EngineFile
    model: Mapping[str, bytes] = field(default_factory=dict)
    """The model's files, where the index takes them along."""
    model_digest: str = ""
    history: tuple[Event, ...] = ()
    folds: tuple[Contents, ...] = ()
    """Of a cross-conformal calibration: they hold no folds themselves."""
    state: str = ""
    """Names the state of the folder that this was read as."""


def write(folder: Path, contents: Contents) -> None:
    """Make the contents the folder's state, all at once. `IndexCallError` where the folder holds anything else."""
    check_folder(folder)
    files, meta = _files(contents), _meta(contents)
    for number, fold in enumerate(contents.folds):
        files |= {f"fold{number}.{name}": content for name, content in _files(fold).items()}
    if contents.folds:
        meta["folds"] = [_meta(fold) for fold in contents.folds]
    save_bundle(folder, files, meta, format_name=FORMAT, version=VERSION)


def _files(contents: Contents) -> dict[str, Content]:
    clash = sorted(name for name in contents.model if name in OWN or FOLD.match(name))
    if clash:
        raise IndexCallError(f"the model's files {listing(clash)} are named as the index's own. Rename them.")
    assert callable(contents.engine.content), "an engine that was opened writes itself again"
    return {
        REFERENCES: partial(write_references, contents.references),
        **write_calibration(contents.calibration),
        **write_trained(contents.trained, contents.reviewed),
        HISTORY: to_lines(contents.history),
        ENGINE: contents.engine.content,
        **contents.model,
    }


def _meta(contents: Contents) -> dict[str, Any]:
    engine = contents.engine
    return {
        **contents.settings.written(),
        "next_id": contents.references.next_id,
        "model": contents.model_digest,
        "engine": {"type": engine.type, "options": dict(engine.options), "fingerprint": engine.fingerprint},
    }


def check_folder(folder: Path) -> None:
    """`IndexCallError` where a folder holds anything but an index.

    Saving clears what its manifest does not list, so nothing else may be there.
    """
    there = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    foreign = [name for name in there if not A_BUNDLE_WRITES.fullmatch(name)]
    if foreign:
        raise IndexCallError(
            f"{folder}: holds {listing(foreign)}, which no index wrote. Save into a folder of its own."
        )
    if MANIFEST in there:
        try:
            read_manifest(folder, format_name=FORMAT, version=VERSION, older=OLDER)
        except DamagedError as error:
            raise IndexCallError(f"{error}\nNothing was saved over it. Save into another folder.") from error


def read(folder: Path, score_for: ScoreFor = built_in_score) -> Contents:
    """What a folder holds, every file confirmed. `DamagedError` names the file that is not as it was written."""
    bundle = read_bundle(folder, format_name=FORMAT, version=VERSION, older=OLDER, mapped=IN_PLACE)
    if bundle.version == 1:
        bundle = migrated(folder, bundle)
    with parsing(folder / MANIFEST):
        meta = dict(bundle.meta)
        said = [dict(fold) for fold in meta.pop("folds", [])]
        if len(said) > MOST_FOLDS:
            raise ValueError(f"{len(said)} folds; there are at most {MOST_FOLDS}.")
    whole = _contents(folder, meta, bundle, "", score_for)
    folds = tuple(_contents(folder, one, bundle, f"fold{i}.", score_for) for i, one in enumerate(said))
    if whole.calibration.way == "cross_conformal" and whole.calibration.folds > len(folds):
        raise DamagedError(f"{folder}: is calibrated over folds that it does not hold. Restore it from a copy.")
    return replace(whole, folds=folds, state=bundle.state)


def _contents(folder: Path, meta: dict[str, Any], bundle: Bundle, prefix: str, score_for: ScoreFor) -> Contents:
    """The index whose files have this prefix."""
    files = _unprefixed(bundle.files, prefix)
    mapped = _unprefixed(bundle.mapped, prefix)
    missing = sorted(prefix + name for name in OWN - {HISTORY, *files, *mapped})
    if missing:
        raise DamagedError(f"{folder / MANIFEST}: lists no {listing(missing)}, so this is not a whole index.")
    with parsing(folder / MANIFEST):
        next_id, model_digest, said = int(meta.pop("next_id")), str(meta.pop("model")), meta.pop("engine")
        settings = Settings.read(meta, score_for)
        engine = EngineFile(str(said["type"]), dict(said["options"]), str(said["fingerprint"]), mapped[ENGINE])
    folder = folder / prefix.rstrip(".")
    with parsing(folder / REFERENCES):
        references = read_references(mapped[REFERENCES], settings, next_id)
    calibration = read_calibration(folder, files, settings, references)
    trained, reviewed = read_trained(folder, files, settings)
    model = {name: data for name, data in files.items() if name not in OWN}
    with parsing(folder / HISTORY):
        history = from_lines(files.get(HISTORY, b""))
    return Contents(settings, references, calibration, trained, reviewed, engine, model, model_digest, history)


def _unprefixed(files: Mapping[str, Data], prefix: str) -> dict[str, Data]:
    """The files of this prefix without it; of none, those that are no fold's."""
    if not prefix:
        return {name: data for name, data in files.items() if not FOLD.match(name)}
    return {name.removeprefix(prefix): data for name, data in files.items() if name.startswith(prefix)}


def written(folder: Path) -> str:
    """Names the state that a folder holds now; empty where it holds no index."""
    if not (folder / MANIFEST).exists():
        return ""
    return str(read_manifest(folder, format_name=FORMAT, version=VERSION, older=OLDER)["checksum"])


def holds_model(folder: Path) -> bool:
    """Whether the model was saved along."""
    files = read_manifest(folder, format_name=FORMAT, version=VERSION, older=OLDER)["files"]
    return not (OWN | OWN_ONCE).issuperset(FOLD.sub("", name) for name in files)
