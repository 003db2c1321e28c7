"""`make bench`: every speed and memory claim, as a ratio to a reference in the same run; a miss fails.

The start of a Python process, a raw training loop and so on are timed beside what is claimed, in turn, so that a
slow or busy machine slows both.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Row:
    """One claim: what was measured, beside what, and whether it holds."""

    claim: str
    measured: float
    unit: str
    reference: str
    ratio: float | None
    limit: float | None = None
    """`None`: measured, and held to nothing."""
    limit_on: str = "ratio"

    @property
    def holds(self) -> bool:
        """Whether the measured value (or its ratio) is within the limit."""
        value = self.ratio if self.limit_on == "ratio" else self.measured
        return self.limit is None or (value is not None and value <= self.limit)

    def __str__(self) -> str:
        ratio = "" if self.ratio is None else f"  ratio {self.ratio:.3f}"
        verdict = "ok  " if self.holds else "MISS"
        limit = "no limit" if self.limit is None else f"at most {self.limit:g} ({self.limit_on})"
        return f"{verdict} {self.claim}: {self.measured:.4g} {self.unit}{ratio}  {limit}  beside: {self.reference}"


def process_seconds(*arguments: str, cwd: Path = ROOT) -> float:
    """Wall seconds of one whole process that must succeed."""
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True, cwd=cwd)
    return time.perf_counter() - started


def in_turn(first: Callable[[], float], second: Callable[[], float], rounds: int) -> tuple[float, float, float]:
    """Medians of both, and of their ratio pair by pair, after one warm-up of each.

    Measured A B, B A, A B, ...: a machine that grows slower, or caches that the first of two leaves to the second,
    then count for both.
    """
    first(), second()
    pairs = []
    for number in range(rounds):
        if number % 2:
            b, a = second(), first()
        else:
            a, b = first(), second()
        pairs.append((a, b))
    ratio = statistics.median(a / b for a, b in pairs)
    return statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs), ratio


def command_start(claim: str, limit: float, *arguments: str) -> Row:
    """A command's whole process beside a Python that does nothing."""
    mine, bare, ratio = in_turn(
        lambda: process_seconds("-m", "nearkin", *arguments), lambda: process_seconds("-c", "pass"), rounds=7
    )
    reference = f"bare python {bare:.3f} s"
    return Row(claim, mine, "s", reference, ratio, limit, "measured")


LARGEST_CHILD = """\
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, capture_output=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
"""Runs a command and prints the peak memory of its largest process, in KiB. In a process of its own, as a child counts
what its parent held when it was forked."""


def demo() -> list[Row]:
    """`make demo`'s own script, in an empty folder: wall time and the peak memory of its largest process."""
    script = [sys.executable, str(ROOT / "docs" / "demo.py")]
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        told = subprocess.run(
            [sys.executable, "-c", LARGEST_CHILD, *script], check=True, capture_output=True, cwd=folder
        )
        seconds = time.perf_counter() - started
    bare = process_seconds("-c", "import torch")
    peak_gb = int(told.stdout) / 2**20
    return [
        Row("make demo, installed", seconds, "s", f"import torch {bare:.2f} s", seconds / bare, 90, "measured"),
        Row("make demo, peak memory", peak_gb, "GB", "largest process", None, 1.5, "measured"),
    ]


def training_step() -> Row:
    """The trainer's step beside a hand-written loop: same batches, network and loss."""
    from tests.bench.steps import reference_seconds, trainer_seconds

    steps = 120
    mine, raw, ratio = in_turn(lambda: trainer_seconds(steps), lambda: reference_seconds(steps), rounds=15)
    reference = f"hand-written loop {1000 * raw / steps:.2f} ms"
    return Row("training step", 1000 * mine / steps, "ms", reference, ratio, 1.10, "ratio")


def exam() -> Row:
    """1,000 questions of 20 choices with their interval, beside the distance matrix alone."""
    from tests.bench.exam import distance_seconds, exam_seconds

    mine, raw, ratio = in_turn(exam_seconds, distance_seconds, rounds=5)
    return Row("1,000 20-way questions, embedded", mine, "s", f"distances {raw:.4f} s", ratio, 1.0, "measured")


def retrieval() -> Row:
    """10,000 embeddings of 128 in 100 classes, intervals included, beside pytorch-metric-learning's calculator."""
    from tests.bench.retrieval import calculator_seconds, retrieval_seconds

    retrieval_seconds()
    mine, reference = retrieval_seconds(), calculator_seconds()
    said = f"pytorch-metric-learning {reference:.1f} s, without intervals"
    return Row("retrieval of 10,000, with intervals", mine, "s", said, mine / reference, 0.2, "ratio")


def one_query() -> Row:
    """An image in hand, conv4: decode, embed, decide; beside the network alone."""
    from tests.bench.exam import network_seconds, query_seconds

    mine, raw, ratio = in_turn(query_seconds, network_seconds, rounds=30)
    return Row("one query, conv4", 1000 * mine, "ms", f"network {1000 * raw:.2f} ms", ratio, 30, "measured")


def sampling() -> list[Row]:
    """Every built-in sampler among 100,000 items beside 1,000, and beside a training step on its images."""
    from nearkin import load_registries
    from tests.bench.few_shot import embedding_seconds, sampling_seconds

    rows = []
    for name in load_registries(entry_points=False).sampler.names():
        many, few, ratio = in_turn(
            lambda name=name: sampling_seconds(name, 100_000), lambda name=name: sampling_seconds(name, 1000), rounds=5
        )
        beside = f"among 1,000 {1e6 * few:.0f} us"
        rows.append(Row(f"{name}, a batch among 100,000", 1e6 * many, "us", beside, ratio, 1.2, "ratio"))
        drawn, step, share = in_turn(
            lambda name=name: sampling_seconds(name, 100_000), lambda: embedding_seconds(60), rounds=5
        )
        beside = f"conv4 on 60 images {1000 * step:.1f} ms"
        rows.append(Row(f"{name}, share of a step", 1e6 * drawn, "us", beside, share, 0.02, "ratio"))
    return rows


def embedded_once() -> Row:
    """64 pairs among 30 images: each image once, beside both sides of each pair."""
    from tests.bench.few_shot import embedding_seconds

    once, sides, ratio = in_turn(lambda: embedding_seconds(30), lambda: embedding_seconds(128), rounds=15)
    beside = f"both sides of each pair {1000 * sides:.1f} ms"
    return Row("64 pairs of 30 images, each embedded once", 1000 * once, "ms", beside, ratio, 0.4, "ratio")


def channels_last() -> Row:
    """conv4's convolutions in the layout that the trainer gives them, beside torch's own."""
    import torch

    from tests.bench.few_shot import convolutions_seconds

    mine, plain, ratio = in_turn(
        lambda: convolutions_seconds(torch.channels_last),
        lambda: convolutions_seconds(torch.contiguous_format),
        rounds=15,
    )
    beside = f"torch's own layout {1000 * plain:.1f} ms"
    return Row("conv4 on 60 images, channels_last", 1000 * mine, "ms", beside, ratio)


def episodes() -> Row:
    """1,000 episodes of 20-way one-shot, five queries a class, with their intervals."""
    from tests.bench.few_shot import episodes_seconds, thousand_distances_seconds

    mine, raw, ratio = in_turn(episodes_seconds, thousand_distances_seconds, rounds=5)
    beside = f"their distances {raw:.3f} s"
    return Row("1,000 episodes of 20-way one-shot, embedded", mine, "s", beside, ratio, 2.0, "measured")


def rows() -> Iterator[Row]:
    """Every claim but those of the index by size, measured as it is asked for."""
    yield command_start("nearkin --help", 0.4, "--help")
    yield command_start("nearkin validate", 0.8, "validate", "digits-siamese")
    yield training_step()
    yield exam()
    yield episodes()
    yield from sampling()
    yield embedded_once()
    yield channels_last()
    yield retrieval()
    yield one_query()
    yield from demo()


def main() -> int:
    """Print every row as it is measured; 1 where a claim is missed."""
    held = []
    for row in rows():
        print(row, flush=True)
        held.append(row.holds)
    # In a process of its own: what the rows above loaded and left in memory slows what follows by up to a quarter.
    by_size = subprocess.run([sys.executable, "-m", "tests.bench.scale"], cwd=ROOT)
    return 0 if all(held) and by_size.returncode == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
