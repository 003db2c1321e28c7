"""Runs written by earlier versions open, or name what reads them: a committed example of every format version."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import nearkin
from nearkin.files import read_manifest, write_manifest
from nearkin.run import FORMAT, VERSION

EXAMPLES = Path(__file__).parent / "examples"


def test_a_run_of_format_1_opens_and_answers() -> None:
    run = nearkin.load_run(EXAMPLES / "run-v1")
    assert run.recipe.name == "example"
    assert len(run.metrics) == 20
    assert "clusters" in run.evaluations["figures"]
    for vector, label in zip(run.index.references.vectors, run.index.references.labels, strict=True):
        answer = run.index.query(vector)
        assert (answer.label, answer.distance) == (label, 0)
    assert run.embed(np.full((8, 8), 128, dtype=np.uint8)).shape == (1, 4)


def test_a_format_of_the_future_is_refused_by_name(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES / "run-v1", tmp_path / "run")
    body = read_manifest(tmp_path / "run", format_name=FORMAT, version=VERSION)
    write_manifest(tmp_path / "run", {**body, "version": VERSION + 1})
    with pytest.raises(nearkin.NearkinError, match="format version 2; this nearkin reads version 1"):
        nearkin.load_run(tmp_path / "run")
