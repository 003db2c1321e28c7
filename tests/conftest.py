"""What all tests share: under CI nothing may be left out, and the heavy counts have two sizes."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def count() -> Callable[[str, int, int], int]:
    """`count(what, few, many)`: the small number under `make test`, the full one under `make soak`; printed."""

    def choose(what: str, few: int, many: int) -> int:
        soak = bool(os.environ.get("NEARKIN_SOAK"))
        chosen = many if soak else few
        print(f"{what}: {chosen} ('make soak' runs {many})")
        return chosen

    return choose


SOAKED = pytest.StashKey[dict[str, str]]()
RESULTS = Path(__file__).parents[1] / "docs" / "results.md"
SOAK_HEAD = "| claim | last held | found |\n|---|---|---|\n"


@pytest.fixture
def soaked(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """`soaked(outcome)`: what a test of the heavy counts found; under `make soak` it is written into docs, dated."""

    def record(outcome: str) -> None:
        print(outcome)
        claim = request.node.name.removeprefix("test_").replace("_", " ")
        request.config.stash.setdefault(SOAKED, {})[claim] = outcome

    return record


def write_soaked(page: str, outcomes: Mapping[str, str], day: date) -> str:
    """The page with a row of its Soak table for each claim: those found today new, the others as they were."""
    before, after = page.split(SOAK_HEAD)
    table, gap, rest = after.partition("\n\n")
    kept = {row.split(" | ")[0].removeprefix("| "): row for row in table.splitlines()}
    rows = {**kept, **{claim: f"| {claim} | {day} | {outcome} |" for claim, outcome in outcomes.items()}}
    return before + SOAK_HEAD + "\n".join(rows[claim] for claim in sorted(rows)) + (gap + rest or "\n")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Under CI a test that was skipped, or expected to fail, fails the session. Soak results go into docs."""
    if os.environ.get("NEARKIN_SOAK") and (outcomes := session.config.stash.get(SOAKED, {})):
        RESULTS.write_text(write_soaked(RESULTS.read_text(encoding="utf-8"), outcomes, date.today()), encoding="utf-8")
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if not os.environ.get("CI") or reporter is None:
        return
    left_out = [kind for kind in ("skipped", "xfailed", "xpassed") if reporter.stats.get(kind)]
    if left_out and exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        print(f"\nCI: tests were {', '.join(left_out)}; here every test must run.")
