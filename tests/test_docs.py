"""Everything that README and docs show runs: commands, Python, YAML, files; and the generated part is up to date."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer

from nearkin import load_registries
from nearkin.cli import run as run_command
from nearkin.cli.app import app
from nearkin.hookspecs import HOOK_OF_KIND
from nearkin.recipe.read import KEYS
from tests.conftest import write_soaked

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = ("quickstart", "recipes", "choosing", "write-a-plugin", "query-the-index", "evaluate")
BLOCK = re.compile(r"(?:<!-- file: (?P<file>\S+) -->\n)?```(?P<language>\w*)\n(?P<code>.*?)```", re.DOTALL)
needs_siamese = pytest.mark.skipif(
    "siamese" not in load_registries().method.names(),
    reason="the pages use the Siamese method, whose plugin is not installed",
)


@dataclass(frozen=True)
class Block:
    """One fenced block, and the file it is to be written to, if the page says so."""

    language: str
    code: str
    file: str | None


def blocks(page: Path) -> Iterator[Block]:
    for found in BLOCK.finditer(page.read_text(encoding="utf-8")):
        yield Block(found["language"], found["code"], found["file"])


def imported(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a few digits as PNG files and one short run, as the pages expect them."""
    folder = tmp_path_factory.mktemp("docs")
    before = Path.cwd()
    os.chdir(folder)
    imported(DOCS / "demo.py").write_digits(folder)
    assert run_command(["train", "digits-siamese", "train.steps=60"]) == 0
    yield folder
    os.chdir(before)


def test_the_pages_are_there() -> None:
    named = set(re.findall(r"docs/([a-z-]+)\.md", (ROOT / "README.md").read_text(encoding="utf-8")))
    assert named == {page.stem for page in DOCS.glob("*.md")}


@needs_siamese
@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_shows_runs(page: str, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(workplace))
    namespace: dict[str, Any] = {"__name__": "docs"}
    for block in blocks(DOCS / f"{page}.md"):
        if block.file:
            (workplace / block.file).write_text(block.code, encoding="utf-8")
            if block.file.startswith("test_"):
                command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", block.file]
                subprocess.run(command, check=True, cwd=workplace)
        elif block.language == "python":
            exec(compile(block.code, f"docs/{page}.md", "exec"), namespace)
        elif block.language == "console":
            for line in block.code.splitlines():
                assert run_command(shlex.split(line.removeprefix("$ nearkin "))) == 0, line


@needs_siamese
def test_readmes_recipe_is_valid_and_its_python_runs(workplace: Path) -> None:
    shown = list(blocks(ROOT / "README.md"))
    assert {"yaml", "python"} <= {block.language for block in shown}
    for block in shown:
        if block.language == "yaml":
            (workplace / "my-digits.yaml").write_text(block.code, encoding="utf-8")
            assert run_command(["validate", "my-digits.yaml"]) == 0
        elif block.language == "python":
            exec(block.code.replace("runs/demo-images/", ""), {})


@needs_siamese
def test_the_generated_parts_of_the_pages_are_up_to_date() -> None:
    generate = imported(DOCS / "generate.py")
    for name in generate.PAGES:
        assert (DOCS / name).read_text(encoding="utf-8") == generate.page(name), "run 'make docs'"


COMMAND = re.compile(r"(?:`|'|\$ |\n|# )nearkin ((?:[^`'\n]|'[^'\n]*')+)")
NAMES_COMMANDS = ("README.md", "CHANGELOG.md", "docs/*.md", "plugins/*/README.md", "recipes/*.yaml", "src/**/*.py")


ROOT_COMMAND: Any = typer.main.get_command(app)


def what_is_not_there(words: list[str]) -> list[str]:
    """The command, or the options, of a command line that this nearkin does not have."""
    here = ROOT_COMMAND
    while hasattr(here, "commands") and words and not words[0].startswith("-"):
        if words[0] not in here.commands:
            return words[:1]
        here, words = here.commands[words[0]], words[1:]
    options = {option for parameter in here.params for option in (*parameter.opts, "--help")}
    return [word for word in words if re.fullmatch(r"--[a-z][a-z-]*|-[a-z]", word) and word not in options]


def test_every_command_and_option_that_anything_names_is_there() -> None:
    """What the changelog said of `reproduce` stood for four days over a tree that had lost it."""
    named = {
        (found[1], path.name)
        for pattern in NAMES_COMMANDS
        for path in ROOT.glob(pattern)
        for found in COMMAND.finditer(path.read_text(encoding="utf-8"))
    }
    assert len(named) > 100
    assert not {both: missing for both in named if (missing := what_is_not_there(both[0].split()))}
    assert what_is_not_there(["reproduced", "RUN"]) == ["reproduced"]
    assert what_is_not_there(["index", "add", "INDEX", "--review"]) == ["--review"]


def commands(here: Any = ROOT_COMMAND, before: str = "nearkin") -> Iterator[str]:
    for name, below in here.commands.items():
        yield from commands(below, f"{before} {name}") if hasattr(below, "commands") else [f"{before} {name}"]


def test_every_command_stands_on_some_page() -> None:
    pages = "\n".join(page.read_text(encoding="utf-8") for page in [ROOT / "README.md", *DOCS.glob("*.md")])
    said_by_the_command_above = {"nearkin plugins list": "nearkin plugins", "nearkin index merge": "merge INDEX OTHER"}
    assert not [one for one in commands() if said_by_the_command_above.get(one, one) not in pages]


def test_every_page_that_the_changelog_names_is_there() -> None:
    named = set(re.findall(r"docs/[a-z-]+\.md", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")))
    assert named
    assert not [name for name in named if not (ROOT / name).exists()]


def test_every_key_of_a_recipe_has_a_meaning_and_every_section_a_table() -> None:
    generate = imported(DOCS / "generate.py")
    said_elsewhere = {
        "EmbeddingSpace",
        "FeaturesPart",
        "FoldOptions",
    }  # a type alone; features; not for people to write
    sections: set[str] = set()
    for name, options in generate.SECTIONS.items():
        rows = [row.split(" | ") for row in generate.option_table(options.model_json_schema())][2:]
        silent = [row[0] for row in rows if not row[3].strip(" |") and row[0] != "| `type`"]
        assert not silent, name
        sections |= set(options.model_json_schema().get("$defs", {}))
    assert sections - said_elsewhere <= {options.__name__ for options in generate.SECTIONS.values()}


def test_every_top_level_key_and_every_section_of_a_component_has_its_place() -> None:
    lines = list(imported(DOCS / "generate.py").recipe_lines())
    head = lines[lines.index("### The recipe") : lines.index("### data")]
    assert [line.split("`")[1] for line in head if line.startswith("| `")] == list(KEYS)
    for key in ("init_from", "engine", "score"):
        assert any(line.startswith(f"| `{key}` |") for line in lines), key
    losses = "\n".join(imported(DOCS / "generate.py").loss_lines())
    assert losses.count("**`memory`**, a section of `angular`, ") == 1
    assert "| `size` | whole number of at least 1 | `1024` |" in losses


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, "number in (0, 1)"),
        ({"type": "number", "minimum": 0, "exclusiveMaximum": 1}, "number in [0, 1)"),
        ({"type": "number", "exclusiveMinimum": 0}, "number above 0"),
        ({"type": "number", "maximum": -2}, "number of at most -2"),
        ({"type": "integer", "minimum": 1, "maximum": 1000}, "whole number from 1 to 1000"),
        ({"type": "integer", "minimum": 0, "exclusiveMaximum": 2**63}, "whole number from 0 to 2^63 - 1"),
        ({"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]}, "whole number of at least 1 or null"),
        ({"type": "array", "items": {"type": "number", "minimum": 0}}, "list of numbers of at least 0"),
        (
            {"type": "object", "additionalProperties": {"type": "number", "minimum": 0}},
            "a section of name: number of at least 0",
        ),
        (
            {
                "type": "object",
                "additionalProperties": {"anyOf": [{"type": "integer"}, {"type": "number"}, {"type": "string"}]},
            },
            "a section of name: number or text",
        ),
    ],
)
def test_a_type_and_its_limits_are_said_in_plain_words(said: dict[str, Any], words: str) -> None:
    generate = imported(DOCS / "generate.py")
    assert generate.type_words(said, {}) == words


def test_every_hook_is_documented() -> None:
    page = (DOCS / "write-a-plugin.md").read_text(encoding="utf-8")
    assert all(f"`{hook}`" in page for hook in HOOK_OF_KIND.values())


def test_links_between_pages_lead_somewhere() -> None:
    for page in [ROOT / "README.md", *DOCS.glob("*.md"), *ROOT.glob("plugins/*/README.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_results_count_the_looks_at_the_tests_that_the_history_lists() -> None:
    history = (DOCS / "how-settings-were-chosen.md").read_text(encoding="utf-8")
    looks = re.findall(r"^\d+\. ", history.partition("### Looks at the tests")[2].partition("\n### ")[0], re.MULTILINE)
    words = ("seven", "eight", "nine", "ten", "eleven", "twelve")
    assert f"{words[len(looks) - 7]} times in all" in (DOCS / "results.md").read_text(encoding="utf-8")


def test_soak_results_are_kept_by_claim_and_renewed_by_the_run_that_found_them() -> None:
    page = (DOCS / "results.md").read_text(encoding="utf-8")
    once = write_soaked(page, {"a claim": "held", "another": "held"}, date(2030, 1, 1))
    again = write_soaked(once, {"a claim": "held again"}, date(2031, 1, 1))
    assert "| a claim | 2031-01-01 | held again |" in again
    assert "| another | 2030-01-01 | held |" in again
    assert write_soaked(page, {}, date(2030, 1, 1)) == page
