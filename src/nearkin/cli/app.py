"""The words of every command outside a group: arguments, options, help. What it does is in the module it names."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from nearkin.cli.group_words import data_app, plugins_app, recipes_app, runs_app
from nearkin.cli.index_words import index_app
from nearkin.cli.words import Json, Overrides, Plugins, RecipeName, Runs

app = typer.Typer(
    name="nearkin",
    help="Metric learning from a handful of images per class, answered with a cluster or with unknown.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.add_typer(recipes_app, name="recipes")
app.add_typer(runs_app, name="runs")
app.add_typer(data_app, name="data")
app.add_typer(plugins_app, name="plugins", invoke_without_command=True)
app.add_typer(index_app, name="index")


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
