"""An index on disk: a folder whose files are confirmed by hash before any is read, then checked again as parsed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from nearkin.errors import DamagedError, IndexCallError, listing
from nearkin.files import LOCK_SUFFIX, MANIFEST, Content, read_bundle, read_manifest, save_bundle
from nearkin.index.calibration import Calibration
from nearkin.index.history import Event, from_lines, to_lines
from nearkin.index.references import References
from nearkin.index.scores import built_in as built_in_score
from nearkin.index.settings import ScoreFor, Settings
from nearkin.index.stored import migrated, read_references, write_references
from nearkin.index.stored_calibration import FILES as CALIBRATION_FILES
from nearkin.index.stored_calibration import read_calibration, read_trained, write_calibration, write_trained
from nearkin.index.trained import Trained
from nearkin.parsing import parsing

FORMAT, VERSION, OLDER = "nearkin index", 2, (1,)
REFERENCES = "references.safetensors"
ENGINE = "engine.bin"
HISTORY = "history.jsonl"
"""Indexes of the first weeks have none."""
OWN = frozenset({HISTORY, REFERENCES, ENGINE}) | CALIBRATION_FILES
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
    state: str = ""
    """Names the state of the folder that this was read as."""


def write(folder: Path, contents: Contents) -> None:
    """Make the contents the folder's state, all at once. `IndexCallError` where the folder holds anything else."""
    check_folder(folder)
    clash = sorted(OWN & set(contents.model))
    if clash:
        raise IndexCallError(f"the model's files {listing(clash)} are named as the index's own. Rename them.")
    engine = contents.engine
    assert callable(engine.content), "an engine that was opened writes itself again"
    files: dict[str, Content] = {
        REFERENCES: partial(write_references, contents.references),
        **write_calibration(contents.calibration),
        **write_trained(contents.trained, contents.reviewed),
        HISTORY: to_lines(contents.history),
        ENGINE: engine.content,
    }
    meta = {
        **contents.settings.written(),
        "next_id": contents.references.next_id,
        "model": contents.model_digest,
        "engine": {"type": engine.type, "options": dict(engine.options), "fingerprint": engine.fingerprint},
    }
    save_bundle(folder, {**files, **contents.model}, meta, format_name=FORMAT, version=VERSION)


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
    bundle = read_bundle(folder, format_name=FORMAT, version=VERSION, older=OLDER, mapped={REFERENCES, ENGINE})
    if bundle.version == 1:
        bundle = migrated(folder, bundle)
    missing = sorted(OWN - {HISTORY, *bundle.files, *bundle.mapped})
    if missing:
        raise DamagedError(f"{folder / MANIFEST}: lists no {listing(missing)}, so this is not a whole index.")
    with parsing(folder / MANIFEST):
        meta = dict(bundle.meta)
        next_id, model_digest, said = int(meta.pop("next_id")), str(meta.pop("model")), meta.pop("engine")
        settings = Settings.read(meta, score_for)
        engine = EngineFile(str(said["type"]), dict(said["options"]), str(said["fingerprint"]), bundle.mapped[ENGINE])
    with parsing(folder / REFERENCES):
        references = read_references(bundle.mapped[REFERENCES], settings, next_id)
    calibration = read_calibration(folder, bundle.files, settings, references)
    trained, reviewed = read_trained(folder, bundle.files, settings)
    model = {name: data for name, data in bundle.files.items() if name not in OWN}
    with parsing(folder / HISTORY):
        history = from_lines(bundle.files.get(HISTORY, b""))
    held = (references, calibration, trained, reviewed, engine)
    return Contents(settings, *held, model, model_digest, history, bundle.state)


def written(folder: Path) -> str:
    """Names the state that a folder holds now; empty where it holds no index."""
    if not (folder / MANIFEST).exists():
        return ""
    return str(read_manifest(folder, format_name=FORMAT, version=VERSION, older=OLDER)["checksum"])


def holds_model(folder: Path) -> bool:
    """Whether the model was saved along."""
    files = read_manifest(folder, format_name=FORMAT, version=VERSION, older=OLDER)["files"]
    return not (OWN | OWN_ONCE).issuperset(files)
