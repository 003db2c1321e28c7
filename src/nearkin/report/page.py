"""The page: what is known of a run gathered, laid out by a template that escapes every name, written as one file."""

from __future__ import annotations

from importlib.resources import files as packaged
from pathlib import Path
from typing import Any

from nearkin.arguments import path_of
from nearkin.contracts.figures import expected_text, figure_text, over_text, resampled_text
from nearkin.data import load_data
from nearkin.datacheck import check_items, suspects
from nearkin.errors import DamagedError, DataError, UsageError
from nearkin.evaluation.differences import VIEWS
from nearkin.files import write_atomic
from nearkin.recipe import to_yaml
from nearkin.report.curve import curves
from nearkin.report.images import Shown, clusters, data_uri, maps
from nearkin.run import Run
from nearkin.training.watch import Watch, watching
from nearkin.writable import explaining

MOST_CHECKED = 5000
"""Images up to which the report checks the data itself."""


def write_report(run: Run, to: Path | str, *, maps: int = 4, watch: Watch | None = None) -> Path:
    """Write the run's report to `to`, a file that ends in .html; return it.

    It holds recipe, figures with intervals and baselines, what *unknown* promises, the learning curve, the plane of
    clusters, `maps` images with where the network looks (some 400 embeddings each; 0 for none), and what is wrong with
    the data. Test images are shown in it. Where they are not on this machine, it says so in their place.
    """
    path = path_of(to, "report")
    if path.suffix.lower() != ".html":
        raise UsageError(f"{path}: the report is one HTML file; end its name in .html.")
    if maps < 0:
        raise UsageError(f"maps {maps}: it is how many; 0 for none.")
    with watching(watch) as eyes:
        page = _template().render(**facts(run), **_of_images(run, maps, eyes))
    with explaining(path):
        write_atomic(path, page.encode(errors="backslashreplace"))  # a folder's name need not be UTF-8
    return path


def facts(run: Run) -> dict[str, Any]:
    """What the run's own files say."""
    figures = run.evaluations.get("figures", {})
    return {
        "run": run,
        "recipe": to_yaml(run.recipe),
        "figures": {name: _evaluator(by_view) for name, by_view in figures.items()},
        "views": VIEWS,
        "figure_text": figure_text,
        "resampled_text": resampled_text,
        "promise": run.model.no_index or str(run.index.promise),
        "curves": curves(run),
    }


def _evaluator(by_view: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """A row a figure that any view has, its cell in each view; what its own figures say besides, each thing once."""
    names = dict.fromkeys(figure["name"] for view in VIEWS for figure in by_view.get(view, ()))
    cells = {view: {figure["name"]: figure for figure in by_view.get(view, ())} for view in VIEWS}
    own = by_view.get("model", [])
    matrices = [figure["details"] for figure in own if "confusion" in figure["details"]]
    return {
        "rows": [{"name": name, "cells": {view: cells[view].get(name) for view in VIEWS}} for name in names],
        "remarks": _remarks(own),
        "matrices": [one for place, one in enumerate(matrices) if one not in matrices[:place]],
    }


def _remarks(figures: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Sentences, each with the figures that it is about."""
    found: dict[str, list[str]] = {}
    for figure in figures:
        details, said = figure["details"], []
        if figure["value"] is None:
            said.append(figure["note"])
        elif "expected" in details:
            said.append(f"{figure['value']:.3f}; {expected_text(details)}.")
        if over := over_text(details):
            said.append(f"{over}.")
        left = [f"{n} ({why})" for why, n in details.get("left_out", {}).items() if n]
        for sentence in [*said, *([f"left out: {', '.join(left)}."] if left else [])]:
            found.setdefault(sentence, []).append(figure["name"])
    return found


def _of_images(run: Run, count: int, watch: Watch) -> dict[str, Any]:
    """What needs the images; without them, why there is none of it."""
    try:
        shown = Shown.of(run, watch)
    except (DataError, DamagedError) as error:
        return {"without_images": str(error)}
    found: dict[str, Any] = {"without_images": "", **_check(run, watch)}
    if shown.answers:
        found |= {"plane": clusters(shown), "maps": maps(shown, count, watch)}
    return found


def _check(run: Run, watch: Watch) -> dict[str, Any]:
    """The rule of `nearkin data check`, on the whole source."""
    source, _ = load_data(run.recipe.data, run.recipe.seed)
    if len(source.items) > MOST_CHECKED:
        return {"unchecked": len(source.items)}
    report = check_items(source, source.items, lambda done, total: watch.progress("checking images", done, total))
    pairs = any(finding.pairs for finding in report.problems)
    return {"check": report, "suspects": data_uri(suspects(report)) if pairs else None}


def _template() -> Any:
    from jinja2 import Environment, StrictUndefined

    text = packaged("nearkin.report").joinpath("page.html.j2").read_text(encoding="utf-8")
    page = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return page.from_string(text)
