"""The plugin of docs/write-a-plugin.md, a loss and a sampler in one file, through all three doors."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import nearkin
from nearkin.errors import PluginError
from nearkin.training.watch import Watch

PAGE = Path(__file__).parents[2] / "docs" / "write-a-plugin.md"
PROJECT = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n\n'
WHEEL = '\n[tool.hatch.build.targets.wheel]\nonly-include = ["my_plugin.py"]\n'


def shown(language: str, file: str = "") -> str:
    """A block of the page, by its language and the file it is written to."""
    marker = f"<!-- file: {file} -->\n" if file else ""
    found = re.search(rf"{re.escape(marker)}```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The page's two files; fewer steps."""
    (tmp_path / "my_plugin.py").write_text(shown("python", "my_plugin.py"), encoding="utf-8")
    recipe = shown("yaml", "mine.yaml").replace("steps: 30", "steps: 3")
    (tmp_path / "mine.yaml").write_text(recipe, encoding="utf-8")
    return tmp_path


def test_through_plugins_as_a_module(folder: Path) -> None:
    spec = importlib.util.spec_from_file_location("my_plugin", folder / "my_plugin.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    run = nearkin.train(folder / "mine.yaml", plugins=[module], runs=folder / "runs", watch=Watch())
    again = nearkin.load_run(run.path, plugins=[module])
    assert again.model.digest() == run.model.digest()
    with pytest.raises(PluginError, match="my_plugin"):
        nearkin.load_run(run.path)


def test_through_a_file(folder: Path) -> None:
    file = folder / "my_plugin.py"
    run = nearkin.train(folder / "mine.yaml", plugin_files=[file], runs=folder / "runs", watch=Watch())
    assert nearkin.evaluate(run.path, plugin_files=[file], watch=Watch())["figures"]["clusters"]["model"]
    index = nearkin.load_index(run.path, plugin_files=[file])
    index.save(folder / "saved")
    assert nearkin.load_index(folder / "saved", plugin_files=[file]).labels == index.labels


def test_through_an_entry_point_of_an_installed_distribution(folder: Path) -> None:
    project = folder / "project"
    project.mkdir()
    (project / "pyproject.toml").write_text(PROJECT + shown("toml") + WHEEL, encoding="utf-8")
    (project / "my_plugin.py").write_text(shown("python", "my_plugin.py"), encoding="utf-8")
    site = folder / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*install, "--target", str(site), str(project)], check=True)
    env = {**os.environ, "PYTHONPATH": str(site)}

    def python(*arguments: str) -> str:
        command = [sys.executable, *arguments]
        return subprocess.run(command, env=env, cwd=folder, check=True, capture_output=True, text=True).stdout

    run = python("-m", "nearkin", "train", "mine.yaml").splitlines()[-1]
    assert "cluster_accuracy" in python("-m", "nearkin", "evaluate", run)
    opened = python("-c", f"import nearkin; print(nearkin.load_run({run!r}).facts['components'])")
    assert "my-nearkin-plugin" in opened
