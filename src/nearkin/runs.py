"""The runs of a folder, listed: how far each came, and its headline figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nearkin.errors import NearkinError
from nearkin.files import MANIFEST, read_manifest
from nearkin.run import EVALUATION_FORMAT, EVALUATION_VERSION, FORMAT, VERSION, RunFolder


def list_runs(root: Path) -> list[dict[str, Any]]:
    """Every run under `root`, oldest first within a name: path, recipe, date, state, figures, which are first."""
    manifests = sorted(root.glob(f"*/*/{MANIFEST}"), key=lambda path: (path.parts[-3], path.parts[-2].zfill(9)))
    return [_listed(path.parent) for path in manifests]


def _listed(path: Path) -> dict[str, Any]:
    try:
        meta = read_manifest(path, format_name=FORMAT, version=VERSION)["meta"]
        return {
            "path": str(path),
            "recipe": path.parent.name,
            "date": meta.get("started"),
            "state": RunFolder(path).state_of(meta),
            **_headlines(RunFolder(path)),
        }
    except NearkinError as error:
        return {
            "path": str(path),
            "recipe": path.parent.name,
            "date": None,
            "state": f"damaged: {error}",
            "figures": {},
            "first": [],
        }


def _headlines(folder: RunFolder) -> dict[str, Any]:
    """The model's own figures, without intervals, and the names of each evaluator's first."""
    if not (folder.evaluations / MANIFEST).exists():
        return {"figures": {}, "first": []}
    meta = read_manifest(folder.evaluations, format_name=EVALUATION_FORMAT, version=EVALUATION_VERSION)["meta"]
    figures: dict[str, float] = meta.get("headlines", {})
    # Evaluations did not always say which are first.
    before = [name for name in figures if name.startswith("exam_") or name in ("cluster_accuracy", "unknown_auroc")]
    return {"figures": figures, "first": meta.get("first", before)}
