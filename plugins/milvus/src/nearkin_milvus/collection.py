"""One Milvus collection of keys and vectors: made, filled, searched; what the server refuses is told in words."""

from __future__ import annotations

import logging
import os
import secrets
import threading
import uuid
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from nearkin import NearkinError
from nearkin.contracts import FloatArray, IntArray, Metric

if TYPE_CHECKING:
    from pymilvus import MilvusClient

    from nearkin_milvus import MilvusOptions

KEY, VECTOR = "id", "vector"
PREFIX = "nearkin_"
"""Of every collection's name, so that a server's owner can tell them."""
MESSAGE_BYTES = 16 * 2**20
"""Of a request or an answer. Milvus refuses messages of more than 64 MB."""
MOST_QUERIES = 16_384
"""In one request, as Milvus limits it."""
MOST_HITS = 16_384
"""For one query, as Milvus limits it."""
DROP_SECONDS = 5
"""Nobody should wait long for what they no longer need."""


class Collection:
    """A collection of its own name on the server. It goes when nobody holds it any more, unless it was kept.

    Rows are added, and never changed or deleted: whoever knows the keys of some finds those for ever, whatever others
    add, in this process or elsewhere.
    """

    def __init__(self, options: MilvusOptions, metric: Metric, dims: int, name: str) -> None:
        self._options = options
        self._dims = dims
        self.name = name
        self.milvus_metric = {"l2": "L2", "cosine": "COSINE"}[metric]
        self._drop: weakref.finalize[..., Collection] | None = None
        self._numbering = threading.Lock()
        self._next, self._process = 0, 0

    @classmethod
    def created(cls, options: MilvusOptions, metric: Metric, dims: int) -> Collection:
        """A new one, empty and ready to be searched."""
        made = cls(options, metric, dims, f"{PREFIX}{uuid.uuid4().hex}")
        with explained(options):
            made._create()
        made._drop = weakref.finalize(made, drop, options, made.name, os.getpid())
        return made

    def _create(self) -> None:
        from pymilvus import DataType

        client, options = self._client, self._options
        schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field(KEY, DataType.INT64, is_primary=True)
        schema.add_field(VECTOR, DataType.FLOAT_VECTOR, dim=self._dims)
        client.create_collection(
            self.name, schema=schema, num_shards=options.shards, consistency_level=options.consistency
        )
        index = client.prepare_index_params()
        index.add_index(
            VECTOR, index_type=options.index_type, metric_type=self.milvus_metric, params=dict(options.build_params)
        )
        client.create_index(self.name, index, sync=False)
        client.load_collection(self.name, replica_number=options.replicas)

    def keep(self) -> None:
        """An index on disk or a pickle names it from now on, so it outlives this process."""
        if self._drop is not None:
            self._drop.detach()

    # ----------------------------------------------------------------------------------------------- changes

    def add(self, vectors: FloatArray) -> IntArray:
        """(m, d) as rows of their own -> (m,) their keys."""
        keys = self._fresh(len(vectors))
        with explained(self._options):
            for rows in self._chunks(len(keys), 8 + 4 * self._dims):
                some = zip(keys[rows].tolist(), np.asarray(vectors[rows]), strict=True)
                self._client.insert(self.name, [{KEY: key, VECTOR: vector} for key, vector in some])
        return keys

    def _fresh(self, n: int) -> IntArray:
        """(n,) keys in a row that no row has: each process counts on from a place of its own among 2**62."""
        with self._numbering:
            if self._process != os.getpid():  # of a fork too, or it would count on as its parent does
                self._next, self._process = secrets.randbelow(2**62), os.getpid()
            first, self._next = self._next, self._next + n
        return np.arange(first, first + n, dtype=np.int64)

    # ------------------------------------------------------------------------------------------------- asked

    def search(
        self, queries: FloatArray, limit: int, expression: str = "", params: dict[str, Any] | None = None
    ) -> list[tuple[IntArray, FloatArray]]:
        """For each of (q, d): at most `limit` keys and Milvus's numbers for them, best first."""
        found: list[tuple[IntArray, FloatArray]] = []
        with explained(self._options):
            for rows in self._chunks(len(queries), 4 * self._dims + 16 * limit):
                found += [_arrays(hits) for hits in self._asked(queries[rows], limit, expression, params or {})]
        return found

    def _asked(self, queries: FloatArray, limit: int, expression: str, params: dict[str, Any]) -> Any:
        return self._client.search(
            self.name,
            data=list(queries),
            anns_field=VECTOR,
            limit=limit,
            filter=expression,
            output_fields=[KEY],
            search_params={"params": {**self._options.search_params, **params}},
            consistency_level=self._options.consistency,
        )

    def holds(self, keys: IntArray, vectors: FloatArray) -> bool:
        """Whether it is there and has these vectors under these keys. (m,) and (m, d): a sample."""
        with explained(self._options):
            if not self._client.has_collection(self.name):
                return False
            self._client.load_collection(self.name, replica_number=self._options.replicas)
            rows = self._client.query(
                self.name, ids=keys.tolist(), output_fields=[KEY, VECTOR], consistency_level="Strong"
            )
        held = {row[KEY]: np.asarray(row[VECTOR], dtype=np.float32) for row in rows}
        sample = dict(zip(keys.tolist(), vectors, strict=True))
        return held.keys() == sample.keys() and all(np.array_equal(held[key], sample[key]) for key in sample)

    def count(self) -> int:
        """How many rows it holds, whoever added them."""
        with explained(self._options):
            rows = self._client.query(self.name, filter="", output_fields=["count(*)"], consistency_level="Strong")
        return int(rows[0]["count(*)"])

    def _chunks(self, n: int, bytes_each: int) -> Iterator[slice]:
        step = max(1, min(MOST_QUERIES, MESSAGE_BYTES // bytes_each))
        return (slice(start, start + step) for start in range(0, n, step))

    @property
    def _client(self) -> MilvusClient:
        return client(self._options)


def _arrays(hits: Sequence[Any]) -> tuple[IntArray, FloatArray]:
    keys = np.fromiter((hit[KEY] for hit in hits), dtype=np.int64, count=len(hits))
    return keys, np.fromiter((hit["distance"] for hit in hits), dtype=np.float32, count=len(hits))


def drop(options: MilvusOptions, name: str, process: int) -> None:
    """Remove a collection that nothing on disk names. A server that is gone has nothing to remove."""
    if process != os.getpid():  # a fork's copies go, and its parent searches on
        return
    try:
        client(options).drop_collection(name, timeout=DROP_SECONDS)
    except Exception:  # this runs while the interpreter ends or memory is freed: there is nobody to tell
        logging.getLogger(__name__).debug("%s was not dropped", name, exc_info=True)


# ----------------------------------------------------------------------------------------------------- connection


def client(options: MilvusOptions) -> MilvusClient:
    """The one connection of this process to that server: a process forked from it needs its own."""
    token = os.environ.get(options.token_from, "") if options.token_from else ""
    if options.token_from and not token:
        raise NearkinError(f"engine milvus: the environment variable {options.token_from} holds no token.")
    return _connected(options.uri, token, options.database, options.timeout_seconds, os.getpid())


@lru_cache(maxsize=16)
def _connected(uri: str, token: str, database: str, timeout_seconds: float, process: int) -> MilvusClient:
    from pymilvus import MilvusClient

    # Errors are raised as well, and told in words.
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
    return MilvusClient(uri, token=token, db_name=database, timeout=timeout_seconds)


@contextmanager
def explained(options: MilvusOptions) -> Iterator[None]:
    """What Milvus or the way to it refuses, as an error of nearkin's that names the server."""
    from grpc import RpcError
    from pymilvus.exceptions import MilvusException

    try:
        yield
    except (MilvusException, RpcError) as error:
        said = error.message if isinstance(error, MilvusException) else error
        raise NearkinError(
            f"engine milvus at {options.uri}: {said}. Look whether the server runs and takes this request."
        ) from error
