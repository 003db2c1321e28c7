"""Milvus as an index engine: references searched on a server, or on a cluster larger than one machine."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from nearkin import NearkinError, Options, hookimpl
from nearkin.contracts import Build, Engine, Metric, Register

nearkin_api = 1

METRICS: tuple[Metric, ...] = ("l2", "cosine")
LEAST_DIMS, MOST_DIMS = 2, 32_768
"""Of a vector in Milvus."""


class MilvusOptions(Options):
    """Options of milvus."""

    uri: str = "http://127.0.0.1:19530"
    """Where Milvus listens: a server's or a cluster's address, or a path ending in `.db` for Milvus Lite in this
    process."""
    token_from: Annotated[str, Field(pattern=r"^MILVUS_[A-Z0-9_]+$")] | None = None
    """The environment variable that holds the token (`user:password`, or an API key); its name begins with MILVUS_, so
    that a folder of someone else's cannot ask for other secrets. Runs never hold the token."""
    database: str = "default"
    """The database of the server that collections are made in."""
    index_type: Literal["AUTOINDEX", "FLAT", "IVF_FLAT", "HNSW", "DISKANN"] = "AUTOINDEX"
    """As Milvus names them. FLAT is exact; AUTOINDEX is the server's own choice."""
    build_params: dict[str, int | float | str] = Field(default_factory=dict)
    """Milvus's own for building that index, such as `{M: 16, efConstruction: 200}`."""
    search_params: dict[str, int | float | str] = Field(default_factory=dict)
    """Milvus's own for searching it, such as `{ef: 200}` or `{nprobe: 32}`."""
    consistency: Literal["Strong", "Session", "Bounded", "Eventually"] = "Strong"
    """What a search must see of what was written just before. Below Strong, new references may be missed for a time."""
    shards: Annotated[int, Field(ge=1, le=16)] = 1
    """Into how many parts writes are spread."""
    replicas: Annotated[int, Field(ge=1)] = 1
    """How many copies are held in memory, on as many query nodes, for more searches a second."""
    timeout_seconds: Annotated[float, Field(gt=0)] = 60
    """How long any one request may take."""


@hookimpl
def nearkin_engines(register: Register) -> None:
    """The engine `milvus`."""
    register(
        "milvus",
        make_milvus,
        options=MilvusOptions,
        metrics=METRICS,
        summary="References on a Milvus server or cluster. For collections larger than one machine's memory.",
    )


def make_milvus(options: MilvusOptions, build: Build) -> Engine:
    """The engine, holding nothing; no request is made before it holds something."""
    metric, dims = build.metric, build.embedding_dim
    if metric not in METRICS:
        raise NearkinError(f"engine milvus: Milvus has no metric {metric!r}; it compares by {' or '.join(METRICS)}.")
    if dims is None or not LEAST_DIMS <= dims <= MOST_DIMS:
        raise NearkinError(f"engine milvus: {dims} dimensions; Milvus holds vectors of {LEAST_DIMS} to {MOST_DIMS}.")
    from nearkin_milvus.engine import MilvusEngine

    return MilvusEngine(options, metric, dims)
