"""Every command's words: arguments, options, help. What a command does is in the module it names."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from nearkin.cli.index_words import index_app

app = typer.Typer(
    name="nearkin",
    help="Metric learning from a handful of images per class, answered with a cluster or with unknown.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
recipes_app = typer.Typer(help="The recipes that ship with nearkin.", no_args_is_help=True)
runs_app = typer.Typer(help="The runs on this disk.", no_args_is_help=True)
data_app = typer.Typer(help="The images of a recipe.", no_args_is_help=True)
plugins_app = typer.Typer(help="The plugins that are installed.")
app.add_typer(recipes_app, name="recipes")
app.add_typer(runs_app, name="runs")
app.add_typer(data_app, name="data")
app.add_typer(plugins_app, name="plugins", invoke_without_command=True)
app.add_typer(index_app, name="index")

# typer reads annotations at run time, and mypy wants them spelled the same way: Optional, not `| None`.
Overrides = Annotated[Optional[list[str]], typer.Argument(help="Settings of the recipe, as key=value.")]  # noqa: UP045
Plugins = Annotated[
    Optional[list[Path]],  # noqa: UP045
    typer.Option("--plugin", help="A Python file that is a plugin. Its code is run. May be given several times."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Runs = Annotated[Path, typer.Option("--runs", help="The folder of all runs.")]
RecipeName = Annotated[str, typer.Argument(metavar="RECIPE", help="A recipe file, or the name of one that ships.")]


@app.callback()
def _root(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Metric learning from a handful of images per class, answered with a cluster or with unknown."""


@app.command()
def train(
    words: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Argument(metavar="RECIPE... [KEY=VALUE...]", help="Recipe files or names; settings for all of them."),
    ] = None,
    seeds: Annotated[Optional[int], typer.Option("--seeds", help="Train each with seeds 0 to N - 1.")] = None,  # noqa: UP045
    leave_one_class_out: Annotated[
        bool, typer.Option("--leave-one-class-out", help="Train once a class, which is then the unknown one.")
    ] = False,
    resume: Annotated[Optional[Path], typer.Option("--resume", help="A run or a sweep to continue.")] = None,  # noqa: UP045
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check recipe and images, train nothing.")] = False,
    runs: Runs = Path("runs"),
    plugin: Plugins = None,
    as_json: Json = False,
) -> None:
    """Train what a recipe asks for; the last line on stdout is the run folder. Several in one go end in a table."""
    from nearkin.cli import work

    work.train(
        words or [],
        seeds=seeds,
        leave_one_class_out=leave_one_class_out,
        resume=resume,
        dry_run=dry_run,
        runs=runs,
        plugins=plugin or [],
        as_json=as_json,
    )


@app.command()
def evaluate(run: Path, plugin: Plugins = None, as_json: Json = False) -> None:
    """Measure a run on its test images, beside the baselines."""
    from nearkin.cli import work

    work.evaluate(run, plugins=plugin or [], as_json=as_json)


@app.command()
def explain(
    run: Path,
    image: Path,
    against: Annotated[Optional[Path], typer.Option(help="Another image; left out: the cluster it is near.")] = None,  # noqa: UP045
    output: Annotated[Path, typer.Option("--output", "-o", help="The picture to write.")] = Path("map.png"),
    plugin: Plugins = None,
) -> None:
    """Draw which regions of an image made it near another image, or near its cluster."""
    from nearkin.cli import work

    work.explain(run, image, against=against, output=output, plugins=plugin or [])


@app.command()
def report(
    run: Path,
    output: Annotated[Path, typer.Option("--output", "-o", help="The HTML file to write.")] = Path("report.html"),
    maps: Annotated[int, typer.Option(help="Test images to show with where the network looks; 0 for none.")] = 4,
    plugin: Plugins = None,
) -> None:
    """Write all of a run into one HTML file: figures, curve, clusters, maps, data. It shows test images."""
    from nearkin.cli import work

    work.report(run, output, maps=maps, plugins=plugin or [])


@app.command()
def export(
    run: Path,
    to: Annotated[Path, typer.Argument(help="A file: NAME.onnx, or NAME.pt2 for torch.export.")],
    plugin: Plugins = None,
) -> None:
    """Write a run's network as a graph for other runtimes, proven to give the same embeddings."""
    from nearkin.cli import work

    work.export(run, to, plugins=plugin or [])


@app.command()
def choose_space(
    recipe: RecipeName,
    overrides: Overrides = None,
    space: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--space", help="A space to try, as unknown.space has it. May be given several times."),
    ] = None,
    score: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--score", help="A score to try, as unknown.score has it. May be given several times."),
    ] = None,
    plugin: Plugins = None,
    as_json: Json = False,
) -> None:
    """Try where the outlier score should look: trains once a known class, without it, and reads no test image."""
    from nearkin.cli import experiment

    experiment.choose_space(
        recipe, overrides or [], spaces=space or [], scores=score or [], plugins=plugin or [], as_json=as_json
    )


@app.command()
def reproduce(
    run: Path,
    tolerance: Annotated[float, typer.Option(help="The largest difference allowed in any number.")] = 0.0,
    runs: Annotated[Optional[Path], typer.Option("--runs", help="Where the new run goes. Left out: beside it.")] = None,  # noqa: UP045
    plugin: Plugins = None,
    as_json: Json = False,
) -> None:
    """Train a run again from its recipe, and compare weights, metrics and figures; 1 where they differ."""
    from nearkin.cli import experiment

    experiment.reproduce(run, tolerance=tolerance, runs=runs, plugins=plugin or [], as_json=as_json)


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN RUN...", help="Finished runs; the others less the first.")],
    seed: Annotated[Optional[int], typer.Option(help="Draws the questions. Left out: the first run's.")] = None,  # noqa: UP045
    plugin: Plugins = None,
    as_json: Json = False,
) -> None:
    """Ask runs the same questions: figures side by side, paired differences, baselines."""
    from nearkin.cli import experiment

    experiment.compare(runs, seed=seed, plugins=plugin or [], as_json=as_json)


@app.command()
def query(
    index: Annotated[Path, typer.Argument(help="A run, or a saved index.")],
    images: list[Path],
    alpha: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Decide at another alpha than the index's: a share, or an operating point's name."),
    ] = None,
    k: Annotated[int, typer.Option("-k", help="How many neighbours to show.")] = 5,
    plugin: Plugins = None,
    as_json: Json = False,
) -> None:
    """Ask the index about images: this cluster, or unknown."""
    from nearkin.cli import index_work

    index_work.query(index, images, alpha=alpha, k=k, plugins=plugin or [], as_json=as_json)


@app.command()
def validate(recipe: RecipeName, overrides: Overrides = None, plugin: Plugins = None, as_json: Json = False) -> None:
    """Check a recipe, and list all that is wrong at once. Trains nothing, imports no torch."""
    from nearkin.cli import look

    look.validate(recipe, overrides or [], plugins=plugin or [], as_json=as_json)


@app.command()
def schema(plugin: Plugins = None) -> None:
    """Print the JSON Schema of recipes, for editors that complete and check YAML."""
    from nearkin.cli import look

    look.schema(plugins=plugin or [])


@app.command()
def components(
    kind: Annotated[str | None, typer.Argument(help="losses, engines, or another plural kind.")] = None,
    plugin: Plugins = None,
    as_json: Json = False,
) -> None:
    """List what recipes can name, with every option."""
    from nearkin.cli import look

    look.components(kind, plugins=plugin or [], as_json=as_json)


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
