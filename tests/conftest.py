"""What all tests share: under CI nothing may be left out, and the heavy counts have two sizes."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path

import pytest

# What a test notes lies in its `user_properties`, which reach the process that reports from those that run tests.
COUNTED, SOAKED = "counted", "soaked"


@pytest.fixture
def count(request: pytest.FixtureRequest) -> Callable[[str, int, int], int]:
    """`count(what, few, many)`: the small number under `make test`, the full one under `make soak`; told at the end."""

    def choose(what: str, few: int, many: int) -> int:
        chosen = many if os.environ.get("NEARKIN_SOAK") else few
        request.node.user_properties.append((COUNTED, f"{what}: {chosen:,} ('make soak' runs {many:,})"))
        return chosen

    return choose


LONGEST = (
    "training/test_runs.py", "test_docs.py", "export/test_graphs.py", "test_shards.py", "index/test_damage.py",
    "plugins/test_own_plugin.py", "experiments/test_sweeps.py",
)  # fmt: skip
"""Files that start processes or train: begun last, one of them would keep one core busy while the others wait."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first; all else in its order."""
    place = {str(Path(__file__).parent / name): number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(str(item.path), len(place)))


RESULTS = Path(__file__).parents[1] / "docs" / "results.md"
SOAK_HEAD = "| claim | last held | found |\n|---|---|---|\n"


@pytest.fixture
def soaked(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """`soaked(outcome)`: what a test of the heavy counts found; under `make soak` it is written into docs, dated."""

    def record(outcome: str) -> None:
        print(outcome)
        request.node.user_properties.append((SOAKED, outcome))

    return record


def write_soaked(page: str, outcomes: Mapping[str, str], day: date) -> str:
    """The page with a row of its Soak table for each claim: those found today new, the others as they were."""
    before, after = page.split(SOAK_HEAD)
    table, gap, rest = after.partition("\n\n")
    kept = {row.split(" | ")[0].removeprefix("| "): row for row in table.splitlines()}
    rows = {**kept, **{claim: f"| {claim} | {day} | {outcome} |" for claim, outcome in outcomes.items()}}
    return before + SOAK_HEAD + "\n".join(rows[claim] for claim in sorted(rows)) + (gap + rest or "\n")


def noted(reporter: pytest.TerminalReporter, kind: str) -> list[tuple[str, str]]:
    """(test, note) of every test that passed and noted something of that kind."""
    passed = reporter.stats.get("passed", [])
    return [(report.nodeid, note) for report in passed for name, note in report.user_properties if name == kind]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was counted in smaller or full number. Under `make soak`, what was found goes into docs, dated."""
    if hasattr(terminalreporter.config, "workerinput"):  # one of several processes that run tests; another reports
        return
    if counts := noted(terminalreporter, COUNTED):
        terminalreporter.section("heavy counts")
        terminalreporter.write("".join(f"{line}\n" for line in sorted({note for _, note in counts})))
    if os.environ.get("NEARKIN_SOAK") and (found := noted(terminalreporter, SOAKED)):
        outcomes = {name.split("::")[-1].removeprefix("test_").replace("_", " "): note for name, note in found}
        RESULTS.write_text(write_soaked(RESULTS.read_text(encoding="utf-8"), outcomes, date.today()), encoding="utf-8")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Under CI a test that was skipped, or expected to fail, fails the session."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if not os.environ.get("CI") or reporter is None:
        return
    left_out = [kind for kind in ("skipped", "xfailed", "xpassed") if reporter.stats.get(kind)]
    if left_out and exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        print(f"\nCI: tests were {', '.join(left_out)}; here every test must run.")
