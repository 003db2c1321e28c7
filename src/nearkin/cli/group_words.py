"""The words of `nearkin recipes`, `runs`, `data` and `plugins`: arguments, options, help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from nearkin.cli.words import Json, Overrides, Plugins, RecipeName, Runs

recipes_app = typer.Typer(help="The recipes that ship with nearkin.", no_args_is_help=True)
runs_app = typer.Typer(help="The runs on this disk.", no_args_is_help=True)
data_app = typer.Typer(help="The images of a recipe.", no_args_is_help=True)
plugins_app = typer.Typer(help="The plugins that are installed.")


@plugins_app.callback()
def plugins_default(context: typer.Context, plugin: Plugins = None, as_json: Json = False) -> None:
    """List the plugins that are installed, broken ones with the reason."""
    from nearkin.cli import look

    if context.invoked_subcommand is None:
        look.plugins(plugins=plugin or [], as_json=as_json)


@plugins_app.command("list")
def plugins_list(plugin: Plugins = None, as_json: Json = False) -> None:
    """List the plugins that are installed, broken ones with the reason."""
    from nearkin.cli import look

    look.plugins(plugins=plugin or [], as_json=as_json)


@recipes_app.command("list")
def recipes_list(as_json: Json = False) -> None:
    """List the recipes that ship with nearkin."""
    from nearkin.cli import look

    look.recipes(as_json=as_json)


@recipes_app.command("show")
def recipes_show(name: RecipeName) -> None:
    """Print a recipe."""
    from nearkin.cli import look

    look.show_recipe(name)


@recipes_app.command("copy")
def recipes_copy(
    name: RecipeName, target: Annotated[Path, typer.Argument(help="A new file, or a folder.")] = Path()
) -> None:
    """Copy a recipe to start one of your own. An existing file is not overwritten."""
    from nearkin.cli import look

    look.copy_recipe(name, target)


@runs_app.command("list")
def runs_list(runs: Runs = Path("runs"), as_json: Json = False) -> None:
    """List the runs: recipe, date, state, headline figures."""
    from nearkin.cli import look

    look.runs(runs, as_json=as_json)


@data_app.command("check")
def data_check(
    recipe: RecipeName,
    overrides: Overrides = None,
    picture: Annotated[Optional[Path], typer.Option(help="A PNG of the suspects to write.")] = None,  # noqa: UP045
    embedding: Annotated[bool, typer.Option("--embedding", help="Name what the backbone finds alike too.")] = False,
    plugin: Plugins = None,
    as_json: Json = False,
) -> None:
    """Look for copies, leaks, shortcuts and bad files in a recipe's images. Exit code 1 where there is a problem."""
    from nearkin.cli import check

    given = overrides or []
    check.data_check(recipe, given, picture=picture, plugins=plugin or [], as_json=as_json, embedding=embedding)


@data_app.command("preview")
def data_preview(
    recipe: RecipeName,
    overrides: Overrides = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The picture to write.")] = Path("preview.png"),
    step: Annotated[int, typer.Option(help="Which batch: that of this training step, from 0.")] = 0,
    plugin: Plugins = None,
) -> None:
    """Draw one training batch: pairs side by side, each with its target."""
    from nearkin.cli import work

    work.preview(recipe, overrides or [], output=output, step=step, plugins=plugin or [])
