"""The tables of docs/results.md, each by one command: `python docs/figures.py digits` or `... cxr3`.

digits: ten seeded choices of three classes, three seeds each. cxr3: ten draws of the shots (needs NEARKIN_DATA).
Each prints its table as Markdown and writes every figure behind it to runs/figures/<name>.json.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from nearkin.experiments import Mean, Repeated, mean_over, repeat

CHOICES, SEEDS, DRAWS = 10, 3, 10
OUT = Path("runs/figures")
Settings = dict[str, object]


def digits_settings() -> list[Settings]:
    """Ten choices of three digits (a choice may come twice: they are drawn), three seeds each."""
    settings: list[Settings] = []
    for choice in range(CHOICES):
        classes = sorted(np.random.default_rng(1000 + choice).choice(10, 3, replace=False).tolist())
        known = [str(label) for label in classes]
        settings += [{"data.known": known, "seed": 100 * choice + seed} for seed in range(SEEDS)]
    return settings


def cxr3_settings() -> list[Settings]:
    """Ten draws of shots, select and calibrate from the public training split."""
    return [{"seed": seed} for seed in range(DRAWS)]


def table(done: Sequence[Repeated], draws: Sequence[object], names: Sequence[str]) -> list[str]:
    """One row a figure: mean over draws with its interval, worst and best draw; model, baselines, paired gain."""
    views = ["model", "pixels", "untrained", "model - pixels"]
    lines = [f"| figure | {' | '.join(views)} | worst to best draw |", "|---|" + "---|" * (len(views) + 1)]
    for name in names:
        cells = []
        for view in views:
            found = mean_of(done, draws, name, view)
            cells.append("" if found is None else str(found))
        own = mean_of(done, draws, name, "model")
        spread = "" if own is None else f"{own.least:.3f} to {own.most:.3f}"
        lines.append(f"| {name} | {' | '.join(cells)} | {spread} |")
    return lines


def mean_of(done: Sequence[Repeated], draws: Sequence[object], name: str, view: str) -> Mean | None:
    """The figure's mean over draws, or nothing where it could not be measured."""
    try:
        values = [one.figure(name, view)["value"] for one in done]
    except KeyError:
        return None
    return None if None in values else mean_over(values, [str(draw) for draw in draws])


def own_p_line(done: Sequence[Repeated], draws: Sequence[object]) -> str:
    """The share of known images whose own p-value is at most alpha, over all classes, beside its expectation."""
    by_run, expected = [], []
    for one in done:
        own = [f for view in one.figures.values() for f in view["model"] if f["name"].startswith("own_p_")]
        by_run.append(statistics.fmean(figure["value"] for figure in own))
        expected.append(statistics.fmean(figure["details"]["expected"] for figure in own))
    found = mean_over(by_run, [str(draw) for draw in draws])
    inside = "holds" if found.low <= statistics.fmean(expected) <= found.high else "DOES NOT HOLD"
    wanted = statistics.fmean(expected)
    return f"own p-value at most alpha: {found}, expected {wanted:.4f}: {inside} within sampling error."


def make(name: str, settings: Sequence[Settings], draws: Sequence[object], names: Sequence[str]) -> None:
    """Train, measure, print, keep."""
    started = time.monotonic()
    done = repeat(f"{name}-siamese", settings, runs=Path("runs"), message=say)
    print("\n".join(table(done, draws, names)))
    print(own_p_line(done, draws))
    print(f"{len(done)} trainings in {(time.monotonic() - started) / 60:.1f} minutes.")
    OUT.mkdir(parents=True, exist_ok=True)
    kept = [{"settings": dict(one.settings), "steps": one.steps, "figures": one.figures} for one in done]
    (OUT / f"{name}.json").write_text(json.dumps(kept, indent=1), encoding="utf-8")


def digits() -> None:
    """The digits table."""
    settings = digits_settings()
    names = ["exam_20_way", "exam_30_way", "cluster_accuracy", "unknown_auroc", "unknown_flagged"]
    make("digits", settings, [tuple(one["data.known"]) for one in settings], names)  # type: ignore[arg-type]


def cxr3() -> None:
    """The X-ray table."""
    settings = cxr3_settings()
    recalls = [f"recall_{label}" for label in ("covid", "normal", "viral_pneumonia")]
    names = ["exam_20_way", "exam_30_way", "cluster_accuracy", "balanced_accuracy", *recalls]
    make("cxr3", settings, [one["seed"] for one in settings], names)


def say(text: str) -> None:
    """Progress, apart from the table."""
    print(text, file=sys.stderr, flush=True)


TABLES: dict[str, Callable[[], None]] = {"digits": digits, "cxr3": cxr3}

if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in TABLES:
        sys.exit(f"usage: python docs/figures.py {' | '.join(TABLES)}")
    TABLES[sys.argv[1]]()
