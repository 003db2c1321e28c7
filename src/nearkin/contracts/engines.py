"""Engines: what proposes the references near a query, from few or from a hundred million."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO, Protocol

from nearkin.contracts.components import Build, Factory, refuse_without
from nearkin.contracts.types import FloatArray, IntArray, Metric, Options
from nearkin.errors import UsageError, blaming, listing


@dataclass(frozen=True)
class Hits:
    """The references that an engine proposes for q queries, t in all, query after query, nearest first."""

    ids: IntArray
    """(t,) those of the first query, then of the second, ... None twice for one query."""
    distances: FloatArray
    """(t,) in the metric, as the engine rounds; the index measures again from its store."""
    counts: IntArray
    """(q,) how many there are for each query."""
    floor: FloatArray
    """(q,) nothing that was left out is nearer than this, rounding allowed for. Infinite where nothing was left out;
    0 where the engine cannot say, as approximate ones cannot."""
    off: FloatArray | None = None
    """(t,) what each of the distances may be off by at most. Where the engine says, only those are measured again that
    could matter; `None`: all are."""


class Engine(Protocol):
    """Holds ids and vectors and proposes which of them are near a query. Never changed: `holding` makes another.

    So readers go on with the one they have while a writer makes the next. The index keeps every vector in its own
    store: an engine is a cache of it and may be made anew at any time. What an engine is handed was checked: finite
    float32 of the right dimensions, and no zero vector under cosine.
    """

    @property
    def exact(self) -> bool:
        """Whether it proposes the truly nearest, up to its rounding."""

    @property
    def fingerprint(self) -> str:
        """Names what decides which references are proposed: the engine, its settings, what it learnt from the vectors.

        Calibration rests on it where the engine is not exact. All exact engines share `exact`.
        """

    def __len__(self) -> int:
        """How many vectors it holds."""

    def holding(self, ids: IntArray, vectors: FloatArray, changed: IntArray | None = None) -> Engine:
        """An engine that holds exactly (n,) ids, ascending, and their (n, d) vectors.

        `changed`: the ids that came, went or have another vector since what this one holds; `None`: make it anew.
        """

    def search(self, queries: FloatArray, k: int, among: IntArray | None = None) -> Hits:
        """(q, d) -> the k nearest of each query, all where there are fewer; of the ids in `among` alone, if given."""

    def within(self, queries: FloatArray, radius: float, among: IntArray | None = None) -> Hits:
        """(q, d) -> all that are at most `radius` away, and perhaps some a little beyond."""

    def write(self, file: BinaryIO) -> None:
        """Write what `opened` needs. Vectors need not be written: `opened` is handed them again."""

    def opened(self, data: memoryview, ids: IntArray, vectors: FloatArray) -> Engine:
        """The engine that wrote these bytes, holding these; made anew where the bytes do not fit them."""


ENGINE_HAS = ("exact", "fingerprint", "__len__", "holding", "search", "within", "write", "opened")


@dataclass(frozen=True)
class EngineChoice:
    """An engine as a recipe or a caller names it."""

    type: str
    options: Options
    factory: Factory
    metrics: tuple[Metric, ...]
    """Those that it can compare by."""

    def make(self, build: Build) -> Engine:
        """An engine that holds nothing yet, for `build.metric` and `build.embedding_dim`.

        `UsageError` where it does not compare by that metric.
        """
        if build.metric not in self.metrics:
            raise UsageError(
                f"the engine {self.type} compares by {listing(self.metrics)}, and these embeddings are compared by "
                f"{build.metric}. Take another engine (index.engine in a recipe), or a method that compares otherwise."
            )
        with blaming(f"the engine {self.type}"):
            engine: Engine = self.factory(self.options, build)
        refuse_without(engine, ENGINE_HAS, f"the engine {self.type}")
        return engine
