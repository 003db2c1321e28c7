"""What all tests share: under CI nothing may be left out, and the heavy counts have two sizes."""

from __future__ import annotations

import os
from collections.abc import Callable

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


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Under CI a test that was skipped, or expected to fail, fails the session."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if not os.environ.get("CI") or reporter is None:
        return
    left_out = [kind for kind in ("skipped", "xfailed", "xpassed") if reporter.stats.get(kind)]
    if left_out and exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        print(f"\nCI: tests were {', '.join(left_out)}; here every test must run.")
