"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

# typer reads annotations at run time, and mypy wants them spelled the same way: Optional, not `| None`.
Overrides = Annotated[Optional[list[str]], typer.Argument(help="Settings of the recipe, as key=value.")]  # noqa: UP045
Plugins = Annotated[
    Optional[list[Path]],  # noqa: UP045
    typer.Option("--plugin", help="A Python file that is a plugin. Its code is run. May be given several times."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Runs = Annotated[Path, typer.Option("--runs", help="The folder of all runs.")]
RecipeName = Annotated[str, typer.Argument(metavar="RECIPE", help="A recipe file, or the name of one that ships.")]
