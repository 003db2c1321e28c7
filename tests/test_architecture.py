"""The shape of the whole: imports go one way, the core names no plugin, looking loads nothing heavy."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from nearkin.hookspecs import HOOK_OF_KIND

ROOT = Path(__file__).resolve().parents[1]
CORE = sorted((ROOT / "src").rglob("*.py"))
PLUGINS = sorted(path.parent for path in (ROOT / "plugins").glob("*/pyproject.toml"))
PUBLIC = {"nearkin", "nearkin.contracts", "nearkin.functional"}
HEAVY = {"accelerate", "faiss", "numpy", "pytorch_metric_learning", "scipy", "sklearn", "torch"}


def imported_by(path: Path) -> Iterator[str]:
    """The modules that a file imports anywhere, `from a import b` as `a`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module if node.module and not node.level else "(relative)"


def plugin_names() -> set[str]:
    """What the core must never say: each plugin's distribution, module, and entry point."""
    names: set[str] = set()
    for plugin in PLUGINS:
        project = tomllib.loads((plugin / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        points = project["entry-points"]["nearkin"]
        names |= {project["name"], *points.keys(), *points.values()}
    return names


def run_python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=ROOT)


def test_imports_go_one_way() -> None:
    done = run_python("from importlinter.cli import lint_imports_command as lint; lint()", "--no-cache")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_page_lists_the_rooms_in_the_order_that_imports_go() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = [re.findall(r"\w+", layer) for layer in config["tool"]["importlinter"]["contracts"][0]["layers"] if layer]
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8").split("```")[1]
    listed = re.findall(r"^(\w+)", page, re.MULTILINE)
    there = [name for layer in layers for name in layer if list((ROOT / "src/nearkin").glob(f"{name}*"))]
    assert listed == there


def test_there_are_plugins_to_hold_to_these_rules() -> None:
    assert CORE
    assert len(plugin_names()) >= 3


def test_the_core_neither_imports_nor_names_a_plugin() -> None:
    for path in CORE:
        text = path.read_text(encoding="utf-8")
        assert not [name for name in plugin_names() if re.search(rf"\b{re.escape(name)}\b", text)], path
        assert not [name for name in imported_by(path) if name.startswith("nearkin_")], path


def test_a_plugin_imports_of_nearkin_only_what_is_public() -> None:
    for plugin in PLUGINS:
        own = {folder.name for folder in (plugin / "src").iterdir()}
        for path in plugin.rglob("*.py"):
            allowed = PUBLIC | ({"nearkin.testing"} if "tests" in path.relative_to(plugin).parts else set())
            ours = {name for name in imported_by(path) if name.split(".")[0].startswith("nearkin")}
            assert {name for name in ours if name.split(".")[0] not in own} <= allowed, path


def test_no_import_is_relative() -> None:
    for path in [*CORE, *(path for plugin in PLUGINS for path in plugin.rglob("*.py"))]:
        assert "(relative)" not in imported_by(path), path


@pytest.mark.parametrize("folder", ["src", "plugins"])
def test_files_are_short_enough_to_read_at_once(folder: str) -> None:
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in (ROOT / folder).rglob("*.py")}
    assert not {str(path.relative_to(ROOT)): count for path, count in lines.items() if count > 300}


def test_every_file_says_in_its_first_line_what_it_is() -> None:
    silent = [path for path in CORE if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))]
    assert not silent


@pytest.mark.parametrize("hook", HOOK_OF_KIND.values())
def test_every_hook_is_documented(hook: str) -> None:
    assert hook in (ROOT / "docs" / "write-a-plugin.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "code",
    [
        "import nearkin",
        "import nearkin.contracts",
        "from nearkin import Options, hookimpl",
        "import nearkin.cli, nearkin.cli.app, nearkin.cli.look",
        "from nearkin import load_registries; load_registries(entry_points=False)",
        "from nearkin import load_registries; [part.options for part in load_registries(entry_points=False).loss]",
        "from nearkin import load_registries; from nearkin.recipe import json_schema; "
        "json_schema(load_registries(entry_points=False))",
    ],
)
def test_looking_loads_nothing_heavy(code: str) -> None:
    done = run_python(f"import sys; {code}; print(*{{name.split('.')[0] for name in sys.modules}})")
    assert done.returncode == 0, done.stderr
    assert not HEAVY & set(done.stdout.split())
