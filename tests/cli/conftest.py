"""A shell in this process, and a finished run with images beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nearkin.cli import run

RECIPE = """\
name: tiny
data: {source: digits, known: ["0", "1"], unknown: ["7"], shots: 3, select: 3, calibrate: 9, test: 12}
backbone: {type: conv2, image_size: 16, width: 4}
method: {type: embedding}
loss: {type: contrastive}
sampler: {type: balanced_pairs, pairs: 6}
train: {steps: 3}
evaluate: [{type: clusters, resamples: 20}]
"""


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    code: int
    out: str
    err: str


class Shell:
    """Runs commands in this process, in a folder of its own."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self, *arguments: str) -> Done:
        self.capsys.readouterr()
        code = run(list(arguments))
        said = self.capsys.readouterr()
        assert "--debug" in arguments or "Traceback" not in said.err
        return Done(code, said.out, said.err)


@pytest.fixture
def nearkin(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(RECIPE)
    return Shell(capsys)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, and two images beside it."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "tiny.yaml").write_text(RECIPE)
    assert run(["train", str(folder / "tiny.yaml"), "--runs", str(folder / "runs")]) == 0
    for name in ("a", "b"):
        pixels = (np.random.default_rng(ord(name)).random((20, 20)) * 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.png")
    return folder
