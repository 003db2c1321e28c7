"""An index on disk: a folder whose files are confirmed by hash before any is read, then checked again as parsed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from safetensors.numpy import load, save

from nearkin.errors import DamagedError, IndexCallError, listing
from nearkin.files import LOCK_SUFFIX, MANIFEST, Content, read_bundle, read_manifest, save_bundle, to_json
from nearkin.index.calibration import TEXTS as CALIBRATION_TEXTS
from nearkin.index.calibration import Calibration
from nearkin.index.history import Event, from_lines, to_lines
from nearkin.index.inputs import refuse, text_problems, vector_problems
from nearkin.index.references import References
from nearkin.index.scores import built_in as built_in_score
from nearkin.index.settings import ScoreFor, Settings
from nearkin.index.stored import migrated, read_references, tensor, write_references
from nearkin.index.trained import Trained
from nearkin.parsing import bounded_tensors, parsing

FORMAT, VERSION, OLDER = "nearkin index", 2, (1,)
REFERENCES = "references.safetensors"
CALIBRATION, CALIBRATION_TEXTS_FILE = "calibration.safetensors", "calibration.json"
TRAINED, TRAINED_TEXTS_FILE = "trained.safetensors", "trained.json"
ENGINE = "engine.bin"
HISTORY = "history.jsonl"
"""Indexes of the first weeks have none."""
OWN = frozenset(
    {
        HISTORY,
        REFERENCES,
        CALIBRATION,
        CALIBRATION_TEXTS_FILE,
        TRAINED,
        TRAINED_TEXTS_FILE,
        ENGINE,
    }
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
    calibration, engine = contents.calibration, contents.engine
    assert callable(engine.content), "an engine that was opened writes itself again"
    files: dict[str, Content] = {
        REFERENCES: partial(write_references, contents.references),
        CALIBRATION: save({"vectors": calibration.vectors, "scores": calibration.scores}),
        CALIBRATION_TEXTS_FILE: to_json(
            {name: getattr(calibration, name) for name in CALIBRATION_TEXTS}
            | {"fresh": sorted(calibration.fresh), "basis": calibration.basis}
        ),
        TRAINED: save({"vectors": contents.trained.vectors}),
        TRAINED_TEXTS_FILE: to_json({name: sorted(getattr(contents.trained, name)) for name in ("digests", "groups")}),
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
    calibration = _calibration(folder, bundle.files, settings, references)
    trained = _trained(folder, bundle.files, settings)
    model = {name: data for name, data in bundle.files.items() if name not in OWN}
    with parsing(folder / HISTORY):
        history = from_lines(bundle.files.get(HISTORY, b""))
    return Contents(settings, references, calibration, trained, engine, model, model_digest, history, bundle.state)


def _trained(folder: Path, files: Mapping[str, bytes], settings: Settings) -> Trained:
    with parsing(folder / TRAINED):
        vectors = tensor(load(bounded_tensors(files[TRAINED])), "vectors", np.float32, 2)
        refuse(vector_problems(vectors, settings.dim, settings.metric))
    with parsing(folder / TRAINED_TEXTS_FILE):
        said = json.loads(files[TRAINED_TEXTS_FILE])
        refuse(
            problem for name in ("digests", "groups") for problem in text_problems(name, said[name], len(said[name]))
        )
        return Trained(vectors, frozenset(said["digests"]), frozenset(said["groups"]))


def _calibration(folder: Path, files: Mapping[str, bytes], settings: Settings, references: References) -> Calibration:
    with parsing(folder / CALIBRATION):
        tensors = load(bounded_tensors(files[CALIBRATION]))
        vectors, scores = tensor(tensors, "vectors", np.float32, 2), tensor(tensors, "scores", np.float32, 1)
        refuse(vector_problems(vectors, settings.dim, settings.metric))
        if len(scores) != len(vectors) or np.isnan(scores).any():
            raise ValueError("its scores are not one number an item.")
    with parsing(folder / CALIBRATION_TEXTS_FILE):
        said = json.loads(files[CALIBRATION_TEXTS_FILE])
        texts = _texts(said, CALIBRATION_TEXTS, len(vectors))
        fresh = frozenset(said["fresh"])
        if not fresh <= {*references.classes} & {*texts["labels"]}:
            raise ValueError("it calls classes calibrated that cannot be.")
        basis = str(said.get("basis", settings.said_score))
    return Calibration(vectors=vectors, scores=scores, fresh=fresh, basis=basis, **texts)


def _texts(said: Mapping[str, Any], names: tuple[str, ...], n: int) -> dict[str, tuple[str, ...]]:
    refuse(problem for name in names for problem in text_problems(name, said[name], n))
    return {name: tuple(said[name]) for name in names}


def written(folder: Path) -> str:
    """Names the state that a folder holds now; empty where it holds no index."""
    if not (folder / MANIFEST).exists():
        return ""
    return str(read_manifest(folder, format_name=FORMAT, version=VERSION, older=OLDER)["checksum"])


def holds_model(folder: Path) -> bool:
    """Whether the model was saved along."""
    files = read_manifest(folder, format_name=FORMAT, version=VERSION, older=OLDER)["files"]
    return not (OWN | OWN_ONCE).issuperset(files)
