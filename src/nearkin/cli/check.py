"""`nearkin data check`: what is wrong with a recipe's images, before anything learns from them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from nearkin.cli import show
from nearkin.cli.pictures import refuse_picture, save_picture
from nearkin.datacheck import Report, backbone_before_training, check_source, suspects
from nearkin.errors import DataError, listing
from nearkin.plugins import load_registries
from nearkin.recipe import read_recipe
from nearkin.recipe.shipped import find_recipe
from nearkin.training.watch import watching


class DataProblems(DataError):
    """The check found some; all were told."""


def data_check(
    recipe: str,
    overrides: Sequence[str],
    *,
    picture: Path | None,
    plugins: Sequence[Path],
    as_json: bool,
    embedding: bool = False,
) -> None:
    """Print the report; raise where it holds a problem, so that CI fails.

    `embedding`: pairs that look alike to the recipe's backbone are named too.
    """
    if picture is not None:
        refuse_picture("--picture", picture, "it")
    registries = load_registries(files=plugins)
    read = read_recipe(find_recipe(recipe), registries, overrides)
    embed = backbone_before_training(read, registries) if embedding else None
    with watching(None) as eyes:
        report = check_source(read.data, read.seed, partial(eyes.progress, "looking at images"), embed=embed)
    if as_json:
        show.print_json(report.as_json())
    else:
        print(told(report, dropping=read.data.drop_leaks))
    if picture is not None:
        save_picture(suspects(report), picture)
        show.message(f"the suspects: {picture}")
    if report.problems:
        raise DataProblems(f"{len(report.problems)} problems: {listing(f.what for f in report.problems)}.")


def told(report: Report, *, dropping: bool = False) -> str:
    """The report for a terminal; `dropping`: the recipe sets `data.drop_leaks`."""
    lines = [f"{label}: {', '.join(f'{n} {split}' for split, n in by.items())}" for label, by in report.counts.items()]
    lines += ["", "sizes: " + listing(f"{size} ({n})" for size, n in report.sizes.items()), ""]
    lines += [f"{finding.level.upper()}  {finding.what}: {finding.message}" for finding in report.findings]
    if report.leaks:
        does = "leaves out" if dropping else "would leave out"
        lines += ["", f"data.drop_leaks {does} {len(report.leaks)} test images: {listing(report.leaks, most=50)}"]
    return "\n".join(lines)
