"""The built-in engines keep the contract, small enough to look at everything and built as for many."""

from __future__ import annotations

from typing import Any

from nearkin.contracts import Build, Engine
from nearkin.index.engines import METRICS, built_in
from nearkin.testing import EngineContract


class TestFlat(EngineContract):
    metrics = METRICS

    def make(self, build: Build) -> Engine:
        return built_in("flat").make(build)


class TestAuto(EngineContract):
    metrics = METRICS

    def make(self, build: Build) -> Engine:
        return built_in("auto").make(build)


class TestAFewInLists(EngineContract):
    metrics = METRICS

    def make(self, build: Build) -> Engine:
        return built_in("ivf").make(build)


class OfOptions(EngineContract):
    """Built from fifty references on."""

    type = "ivf"
    options: dict[str, Any] = {}  # noqa: RUF012  # read only

    def make(self, build: Build) -> Engine:
        return built_in(self.type, {"at_least": 50, **self.options}).make(build)


class TestHnsw(OfOptions):
    metrics = METRICS
    type = "hnsw"


class TestHnswOfFewLinks(OfOptions):
    metrics = ("l2",)
    type = "hnsw"
    options = {"links": 2, "effort": 1}  # noqa: RUF012
    recall = 0.05


class TestIvf(OfOptions):
    metrics = METRICS
    options = {"lists": 4}  # noqa: RUF012


class TestIvfOfOneProbe(OfOptions):
    metrics = ("l2", "cosine")
    options = {"lists": 4, "probes": 1}  # noqa: RUF012
    recall = 0.3


class TestIvfOfBytes(OfOptions):
    metrics = ("l2", "cosine")
    options = {"lists": 4, "compression": "sq8"}  # noqa: RUF012
