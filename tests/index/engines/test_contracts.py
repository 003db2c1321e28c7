"""The built-in engines keep the contract."""

from __future__ import annotations

from nearkin.contracts import Build, Engine
from nearkin.index.engines import METRICS, built_in
from nearkin.testing import EngineContract


class TestFlat(EngineContract):
    metrics = METRICS

    def make(self, build: Build) -> Engine:
        return built_in("flat").make(build)
