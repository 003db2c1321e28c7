"""The index beside raw FAISS in the same run: one query of thirty references to growth up to a million.

`python -m tests.bench.scale` prints the table of docs/performance.md; a miss ends with 1. With words after it, it
measures the claims alone that have all of them: `calibrated clustered`, `growth 1,000,000`.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from nearkin.index import Index, load

DIM = 128


def drawn(kind: str, n: int, seed: int, clusters: int) -> tuple[Any, list[str]]:
    """`clustered`: normal around so many normal centres, spread 0.5. `gaussian`: one normal, labels by chance."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, clusters, n)
    vectors = rng.standard_normal((n, DIM), dtype=np.float32)
    if kind == "clustered":
        centres = np.random.default_rng(0).standard_normal((clusters, DIM), dtype=np.float32)
        vectors = centres[codes] + np.float32(0.5) * vectors
    return vectors, [f"class {code}" for code in codes]


def filled(kind: str, n: int, clusters: int, calibrated: int) -> Index:
    """References, and so many calibration items."""
    index = Index(metric="l2", class_rule="nearest", dim=DIM)
    index.add(*drawn(kind, n, 1, clusters))
    if calibrated:
        vectors, labels = drawn(kind, calibrated, 2, clusters)
        there = set(index.labels)
        keep = [row for row, label in enumerate(labels) if label in there]
        index.calibrate(vectors[keep], [labels[row] for row in keep])
    return index


def seconds(call: Callable[[], Any]) -> float:
    """Of one call."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def in_turn(mine: Callable[[], Any], raw: Callable[[], Any], rounds: int) -> tuple[float, float]:
    """Medians of both, measured in turn after one of each."""
    mine(), raw()
    pairs = [(seconds(mine), seconds(raw)) for _ in range(rounds)]
    return statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs)


def raw_flat(index: Index) -> Any:
    """FAISS's exact index over the same references."""
    import faiss

    raw = faiss.IndexFlatL2(DIM)
    raw.add(np.ascontiguousarray(index.references.vectors))
    return raw


def few(kind: str) -> tuple[str, bool]:
    """One query of thirty references, with its full answer. Of five runs the quietest: what else runs only adds."""
    index = filled(kind, 30, 3, 60)
    raw, query = raw_flat(index), drawn(kind, 1, 3, 3)[0]
    runs = [in_turn(lambda: index.query(query[0]), lambda: raw.search(query, 5), 200) for _ in range(5)]
    over, bare = min((1e6 * (mine - bare), 1e6 * bare) for mine, bare in runs)
    return f"{over + bare:.0f} us, raw {bare:.0f}, over {over:.0f}", over <= 150


def batch(kind: str, queries: int, limit: float, calibrated: int) -> tuple[str, bool]:
    """A batch over 100,000 references of 100 classes."""
    index = filled(kind, 100_000, 100, calibrated)
    raw, asked = raw_flat(index), drawn(kind, queries, 3, 100)[0]
    mine, bare = in_turn(lambda: index.query(asked), lambda: raw.search(asked, 5), 3)
    return f"{mine:.3f} s, raw {bare:.3f}, {mine / bare:.2f} times", mine / bare <= limit


def private_bytes() -> int:
    """Anonymous memory of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon"))


def grown(kind: str, n: int) -> tuple[str, bool]:
    """Build, save, map, ask: the engine, time beside looking at all, recall at ten and private memory."""
    clusters = max(10, n // 100)
    with tempfile.TemporaryDirectory() as folder:
        index = Index(metric="l2", class_rule="nearest", dim=DIM)
        given = drawn(kind, n, 1, clusters)
        build = seconds(lambda: index.add(*given))
        index.save(folder)
        index = given = None  # type: ignore[assignment]
        before = private_bytes()
        mapped = load(folder)
        asked = drawn(kind, 100, 3, clusters)[0]
        answers = mapped.query(asked, k=10)
        held = private_bytes() - before
        each = statistics.median(seconds(lambda row=row: mapped.query(row, k=10)) for row in asked)  # type: ignore[misc]
        engine = mapped._state.searcher.engine.fingerprint.split()[0]
        exact = mapped.use_engine("flat")._state.searcher
        every = statistics.median(seconds(lambda row=row: exact.search(row[None], 10)) for row in asked[:20])  # type: ignore[misc]
        true, ids = exact.search(asked, 10)[0], mapped.references.ids
        pairs = zip(answers, true, strict=True)
        recall = np.mean([len({one.id for one in a.neighbors} & set(ids[t].tolist())) / 10 for a, t in pairs])
    told = (
        f"{engine}, query {1e3 * each:.2f} ms (looking at all {1e3 * every:.2f}), build {build:.1f} s, "
        f"recall {recall:.4f}, private {held / 1e6:.0f} MB, {held / (4 * n * DIM):.2f} times the vectors"
    )
    promised = kind == "clustered" and n == 1_000_000
    return told, not promised or (each <= 2e-3 and build <= 60 and recall >= 0.99 and held <= 1.3 * 4 * n * DIM)


def claims() -> Iterator[tuple[str, Callable[[], tuple[str, bool]]]]:
    """Each by its name."""
    for kind in ("clustered", "gaussian"):
        yield f"one query, 30 references, {kind}", partial(few, kind)
        yield f"200 queries, 100,000 references, {kind}", partial(batch, kind, 200, 1.2, 0)
        yield f"200 calibrated queries, 100,000 references, {kind}", partial(batch, kind, 200, 1.2, 2000)
        yield f"10,000 calibrated queries, 100,000 references, {kind}", partial(batch, kind, 10_000, 1.5, 2000)
        for n in (1000, 10_000, 100_000, 1_000_000):
            yield f"growth, {n:,} {kind}", partial(grown, kind, n)


def rows(words: Sequence[str] = ()) -> list[bool]:
    """Whether each claim that has all of these words holds, printed as they come."""
    found = []
    for name, claim in claims():
        if all(word in name for word in words):
            told, holds = claim()
            print("ok  " if holds else "MISS", f"{name}: {told}", flush=True)
            found.append(holds)
    return found


if __name__ == "__main__":
    measured = rows(sys.argv[1:])
    sys.exit("no claim has all of these words" if not measured else not all(measured))
