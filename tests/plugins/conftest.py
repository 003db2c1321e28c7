"""Real little distributions: built by hatchling, installed by pip, and met by the real command line."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import Distribution
from pathlib import Path
from typing import TypeAlias

import pytest
from hatchling.builders.wheel import WheelBuilder

PYPROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{distribution}"
version = "1.2.3"

[project.entry-points.nearkin]
{entry_point} = "{module}"

[tool.hatch.build.targets.wheel]
only-include = ["{module}.py"]
"""

RECIPE = """\
name: tiny
data: {source: digits, known: ["3", "5"]}
backbone: {type: conv2, image_size: 28}
method: {type: embedding}
sampler: {type: balanced_pairs}
loss: {type: LOSS}
train: {steps: 1}
"""


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """All it printed, wherever it broke its lines."""
        return " ".join((self.out + " " + self.err).split())


@dataclass(frozen=True)
class Scratch:
    """A folder on the import path that holds installed distributions, beside those of the running interpreter."""

    site: Path

    def nearkin(self, *arguments: str | Path) -> Done:
        """Run the real command line; whatever happens, a user sees no traceback."""
        env = {**os.environ, "PYTHONPATH": str(self.site), "PYTHONIOENCODING": "utf-8"}
        command = [sys.executable, "-m", "nearkin", *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", env=env, cwd=self.site.parent)
        assert "Traceback" not in done.stdout + done.stderr
        return Done(done.returncode, done.stdout, done.stderr)

    def validate(self, loss: str) -> Done:
        """Validate a recipe whose loss is this one, and whose other parts are built in."""
        recipe = self.site.parent / "tiny.yaml"
        recipe.write_text(RECIPE.replace("LOSS", loss), encoding="utf-8")
        return self.nearkin("validate", recipe)

    def holding(self, folder: Path, *distributions: str) -> Scratch:
        """Another scratch environment, with the installed files of these distributions alone."""
        for name in distributions:
            (found,) = Distribution.discover(name=name, path=[str(self.site)])
            for file in found.files or ():
                target = folder / "site" / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(self.site / file, target)
        return Scratch(folder / "site")


@dataclass(frozen=True)
class Project:
    """The sources of a distribution with one module and one entry point."""

    distribution: str
    source: str
    entry_point: str = ""
    """Named as the distribution where left out."""

    def wheel(self, folder: Path) -> Path:
        """Build it."""
        module = self.distribution.replace("-", "_")
        root = folder / self.distribution
        root.mkdir(parents=True)
        entry_point = self.entry_point or self.distribution
        settings = PYPROJECT.format(distribution=self.distribution, entry_point=entry_point, module=module)
        (root / "pyproject.toml").write_text(settings, encoding="utf-8")
        (root / f"{module}.py").write_text(self.source, encoding="utf-8")
        (built,) = WheelBuilder(str(root)).build(directory=str(folder / "wheels"), versions=["standard"])
        return Path(built)


Install: TypeAlias = Callable[[Iterable[Project]], Scratch]


@pytest.fixture(scope="session")
def project() -> type[Project]:
    return Project


@pytest.fixture(scope="session")
def install(tmp_path_factory: pytest.TempPathFactory) -> Install:
    """Install distributions together into a scratch environment of their own."""

    def install(projects: Iterable[Project]) -> Scratch:
        folder = tmp_path_factory.mktemp("scratch")
        wheels = [project.wheel(folder) for project in projects]
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        from_here = ["--no-deps", "--no-index", "--no-compile", "--target", str(folder / "site")]
        subprocess.run([*pip, *from_here, *map(str, wheels)], check=True)
        return Scratch(folder / "site")

    return install
