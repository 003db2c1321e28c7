"""Calibration as files, and the memory of what must never calibrate: written, and checked again when read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save

from nearkin.contracts import IntArray, Way
from nearkin.files import to_json
from nearkin.index.calibration import TEXTS, Calibration
from nearkin.index.inputs import refuse, text_problems, vector_problems
from nearkin.index.references import References
from nearkin.index.settings import Settings
from nearkin.index.stored import read_space, tensor
from nearkin.index.trained import Trained
from nearkin.parsing import bounded_tensors, parsing

CALIBRATION, CALIBRATION_TEXTS = "calibration.safetensors", "calibration.json"
TRAINED, TRAINED_TEXTS = "trained.safetensors", "trained.json"
FILES = frozenset({CALIBRATION, CALIBRATION_TEXTS, TRAINED, TRAINED_TEXTS})
MOST_FOLDS = 100


def write_calibration(calibration: Calibration) -> dict[str, bytes]:
    """The two files of a calibration."""
    names = ("vectors", "scores", "origin", *(() if calibration.space is None else ("space",)))
    tensors = {name: getattr(calibration, name) for name in names}
    said = {name: getattr(calibration, name) for name in (*TEXTS, "way", "basis")}
    renamed = {"drawn_as": dict(calibration.drawn_as)} if calibration.drawn_as else {}
    return {
        CALIBRATION: save(tensors),
        CALIBRATION_TEXTS: to_json(said | {"fresh": sorted(calibration.fresh)} | renamed),
    }


def read_calibration(
    folder: Path, files: Mapping[str, bytes], settings: Settings, references: References
) -> Calibration:
    """What `write_calibration` wrote. The first indexes were all held out, and named no basis."""
    with parsing(folder / CALIBRATION):
        tensors = load(bounded_tensors(files[CALIBRATION]))
        vectors, scores = tensor(tensors, "vectors", np.float32, 2), tensor(tensors, "scores", np.float32, 1)
        n = len(vectors)
        refuse(vector_problems(vectors, settings.dim, settings.metric))
        space = read_space(tensors, settings, n)
        origin = tensor(tensors, "origin", np.int64, 1) if "origin" in tensors else np.zeros(n, dtype=np.int64)
        if len(scores) != n or len(origin) != n or np.isnan(scores).any():
            raise ValueError("its scores are not one number an item.")
    with parsing(folder / CALIBRATION_TEXTS):
        said = json.loads(files[CALIBRATION_TEXTS])
        texts = _texts(said, TEXTS, n)
        fresh, way = frozenset(said["fresh"]), said.get("way", "held_out")
        if not fresh <= {*references.classes} & {*texts["labels"]}:
            raise ValueError("it calls classes calibrated that cannot be.")
        _check_origin(way, origin, np.array([label in fresh for label in texts["labels"]], dtype=bool), references)
        basis, drawn_as = str(said.get("basis", settings.said_score)), said.get("drawn_as", {})
        refuse(text_problems("drawn_as", [*drawn_as, *drawn_as.values()], 2 * len(drawn_as)))
    made: dict[str, Any] = {"scores": scores, "origin": origin, "way": way, "fresh": fresh, "basis": basis, **texts}
    return Calibration(vectors=vectors, space=space, drawn_as=drawn_as, **made)


def _check_origin(way: Any, origin: IntArray, is_fresh: Any, references: References) -> None:
    """`ValueError` where items come from what is not there."""
    if way not in get_args(Way):
        raise ValueError(f"it was calibrated {way!r}, which is no way that there is.")
    most = {"held_out": 0, "cross_conformal": MOST_FOLDS - 1}.get(way)
    if most is not None and len(origin) and not 0 <= origin.min() <= origin.max() <= most:
        raise ValueError("its items come from folds that there are not.")
    if way == "leave_one_group_out" and not np.isin(origin[is_fresh], references.ids).all():
        raise ValueError("its items are references that there are not.")


def write_trained(trained: Trained, reviewed: Trained) -> dict[str, bytes]:
    """The two files of what must never calibrate."""
    texts = {"digests": trained.digests, "groups": trained.groups}
    texts |= {"reviewed_digests": reviewed.digests, "reviewed_groups": reviewed.groups}
    return {
        TRAINED: save(
            {
                "vectors": trained.vectors,
                "reviewed": reviewed.vectors,
                "bare": trained.bare.astype(np.uint8),
                "reviewed_bare": reviewed.bare.astype(np.uint8),
            }
        ),
        TRAINED_TEXTS: to_json({name: sorted(those) for name, those in texts.items()}),
    }


def read_trained(folder: Path, files: Mapping[str, bytes], settings: Settings) -> tuple[Trained, Trained]:
    """What trained the model, and what was chosen for review; the first indexes knew nothing of that.

    Indexes before 2026-11-30 do not say which came without a digest: there only digests tell of images that have one.
    """
    with parsing(folder / TRAINED):
        tensors = {"reviewed": np.zeros((0, settings.dim), np.float32), **load(bounded_tensors(files[TRAINED]))}
        vectors = [tensor(tensors, name, np.float32, 2) for name in ("vectors", "reviewed")]
        refuse(problem for held in vectors for problem in vector_problems(held, settings.dim, settings.metric))
        bare = [_flags(tensors, name, len(held)) for name, held in zip(("bare", "reviewed_bare"), vectors, strict=True)]
    with parsing(folder / TRAINED_TEXTS):
        said = {"reviewed_digests": [], "reviewed_groups": [], **json.loads(files[TRAINED_TEXTS])}
        names = ("digests", "groups", "reviewed_digests", "reviewed_groups")
        refuse(problem for name in names for problem in text_problems(name, said[name], len(said[name])))
        of = [frozenset(said[name]) for name in names]
    return Trained(vectors[0], bare[0], of[0], of[1]), Trained(vectors[1], bare[1], of[2], of[3])


def _flags(tensors: Mapping[str, Any], name: str, n: int) -> NDArray[np.bool_]:
    """(n,) yes or no; all no where nothing is said."""
    found = tensors.get(name, np.zeros(n, np.uint8))
    if found.shape != (n,) or found.dtype != np.uint8 or found.max(initial=0) > 1:
        raise ValueError(f"{name}: {found.dtype} of {found.shape}; {n} of 0 or 1 are meant.")
    return np.asarray(found, dtype=bool)


def _texts(said: Mapping[str, Any], names: tuple[str, ...], n: int) -> dict[str, tuple[str, ...]]:
    refuse(problem for name in names for problem in text_problems(name, said[name], n))
    return {name: tuple(said[name]) for name in names}
