"""The tables of docs/results.md, each by one command: `python docs/figures.py NAME`.

digits: ten seeded choices of three classes, three seeds each. cxr3: ten draws of the shots. cxr3-methods: three
methods, five draws. xrays: pretrained backbones and warm starts, by xray_figures.py. omniglot: four methods, two
directions, three seeds. promise: promised against measured, and its picture. All but digits need NEARKIN_DATA.
Each prints its table as Markdown and keeps every figure behind it under runs/figures. omniglot keeps each run's as it
ends and goes on where it stopped; `omniglot METHOD ...` trains those methods alone.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from promise_figures import promise
from xray_figures import xrays

from nearkin.experiments import Mean, Repeated, mean_over, repeat
from nearkin.files import to_json, write_atomic

CHOICES, SEEDS, DRAWS = 10, 3, 10
CXR3_METHODS, METHOD_DRAWS = ("siamese", "prototypical", "matching"), 5
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


def cxr3_methods() -> None:
    """Three methods on the same five draws of ten shots, beside the same baselines."""
    names = ["exam_20_way", "exam_30_way", "cluster_accuracy", "balanced_accuracy"]
    draws = list(range(METHOD_DRAWS))
    kept: dict[str, Any] = {}
    for place, method in enumerate(CXR3_METHODS):
        done = repeat(f"cxr3-{method}", [{"seed": seed} for seed in draws], runs=Path("runs"), message=say)
        lines = table(done, draws, names)
        head, rows = lines[:2], [row.replace("| ", f"| {method} | ", 1) for row in lines[2:]]
        print("\n".join([*(["| method " + head[0], "|---" + head[1]] if place == 0 else []), *rows]), flush=True)
        kept[method] = [{"settings": dict(one.settings), "steps": one.steps, "figures": one.figures} for one in done]
    OUT.mkdir(parents=True, exist_ok=True)
    write_atomic(OUT / "cxr3-methods.json", to_json(kept))


OMNIGLOT_METHODS = ("prototypical", "matching", "siamese", "triplet")
OMNIGLOT_SEEDS = 3
DIRECTIONS: dict[str, Settings] = {
    "small1": {"data.known": ["small1/*/*"], "data.unknown": ["small2/[JST]*/*"]},
    "small2": {"data.known": ["small2/*/*"], "data.unknown": ["small1/[BEK]*/*"]},
}
"""By what is trained on: asked about the alphabets that the other set has alone."""
CHOSEN_BESIDE = ("prototypical", "matching", "siamese")
"""Whose settings Sanskrit and Tagalog had a say in; both are asked about from small1, so those rows have a mark."""


def omniglot(*methods: str) -> None:
    """Train what is not kept yet, then the table of all that is."""
    for method in methods or OMNIGLOT_METHODS:
        for seed in range(OMNIGLOT_SEEDS):
            for trained_on in DIRECTIONS:
                omniglot_run(method, trained_on, seed)
    print("\n".join(omniglot_table()))


def omniglot_file(method: str, trained_on: str, seed: int) -> Path:
    """Where one run's figures are kept."""
    return OUT / "omniglot" / f"{method}-{trained_on}-{seed}.json"


def omniglot_run(method: str, trained_on: str, seed: int) -> None:
    """One training and its figures, unless they are kept already."""
    file = omniglot_file(method, trained_on, seed)
    if file.exists():
        return
    wall, cpu = time.monotonic(), time.process_time()
    settings = [{**DIRECTIONS[trained_on], "seed": seed}]
    (one,) = repeat(f"omniglot-{method}", settings, runs=Path("runs"), message=say)
    spent = {"wall_seconds": time.monotonic() - wall, "cpu_seconds": time.process_time() - cpu}
    kept = {"settings": dict(one.settings), "run": str(one.run), "steps": one.steps, **spent, "figures": one.figures}
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(file, to_json(kept))


def omniglot_table() -> list[str]:
    """One row a method and direction (errors in percent), the alphabets reported separately."""
    lines = [
        "| method | trained on | errors | alphabets | seeds | pixels | untrained | CPU minutes |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for method in OMNIGLOT_METHODS:
        for trained_on in DIRECTIONS:
            files = [omniglot_file(method, trained_on, seed) for seed in range(OMNIGLOT_SEEDS)]
            done = [json.loads(file.read_bytes()) for file in files if file.exists()]
            if done:
                lines.append(omniglot_row(method, trained_on, done))
    return lines


def omniglot_row(method: str, trained_on: str, done: Sequence[dict[str, Any]]) -> str:
    """Means over the seeds. The interval is over characters: the mean of the seeds' bounds, since they share them."""
    by_view = {view: [one["figures"]["episodes"][view] for one in done] for view in ("model", "pixels", "untrained")}

    def errors(view: str, place: int, key: str = "value") -> list[float]:
        return [100 * (1 - figures[place][key]) for figures in by_view[view]]

    model = by_view["model"][0]
    low, high = (statistics.fmean(errors("model", 0, key)) for key in ("high", "low"))
    alphabets = [
        f"{figure['name'].rsplit('/', 1)[-1]} {statistics.fmean(errors('model', place)):.1f}"
        for place, figure in enumerate(model)
        if place
    ]
    cells = [
        method,
        f"{trained_on}*" if trained_on == "small1" and method in CHOSEN_BESIDE else trained_on,
        f"{statistics.fmean(errors('model', 0)):.1f} [{low:.1f}, {high:.1f}]",
        ", ".join(alphabets),
        ", ".join(f"{value:.1f}" for value in errors("model", 0)),
        *(f"{statistics.fmean(errors(view, 0)):.1f}" for view in ("pixels", "untrained")),
        f"{statistics.fmean(one['cpu_seconds'] for one in done) / 60:.1f}",
    ]
    return f"| {' | '.join(cells)} |"


def say(text: str) -> None:
    """Progress, apart from the table."""
    print(text, file=sys.stderr, flush=True)


TABLES: dict[str, Callable[..., None]] = {
    "promise": promise,
    "digits": digits,
    "cxr3": cxr3,
    "cxr3-methods": cxr3_methods,
    "omniglot": omniglot,
    "xrays": xrays,
}

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in TABLES:
        sys.exit(f"usage: python docs/figures.py {' | '.join(TABLES)}")
    TABLES[sys.argv[1]](*sys.argv[2:])
