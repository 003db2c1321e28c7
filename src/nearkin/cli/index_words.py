"""The words of `nearkin index`: arguments, options, help. What a command does is in the module it names."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from nearkin.cli.words import Json, Plugins

index_app = typer.Typer(
    help="An index: made, looked at, changed, asked, checked, taken elsewhere.", no_args_is_help=True
)

Place = Annotated[Path, typer.Argument(metavar="INDEX", help="A run, or a saved index.")]
Labelled = Annotated[
    Optional[list[Path]],  # noqa: UP045
    typer.Argument(
        metavar="IMAGES", help="A folder with a folder a class, a CSV manifest; or image files, with --label."
    ),
]
Label = Annotated[Optional[str], typer.Option("--label", help="The class of image files.")]  # noqa: UP045
Group = Annotated[Optional[str], typer.Option("--group", help="The group (the patient) of image files.")]  # noqa: UP045
Ids = Annotated[Optional[list[int]], typer.Option("--id", help="A reference. May be given several times.")]  # noqa: UP045
Labels = Annotated[Optional[list[str]], typer.Option("--label", help="A class. May be given several times.")]  # noqa: UP045
Groups = Annotated[Optional[list[str]], typer.Option("--group", help="A group. May be given several times.")]  # noqa: UP045
Alpha = Annotated[Optional[float], typer.Option("--alpha", help="Make this the index's own alpha.")]  # noqa: UP045


@index_app.command()
def build(
    index: Annotated[Path, typer.Argument(metavar="INDEX", help="The folder to write.")],
    run: Annotated[Path, typer.Option("--run", help="The run whose model embeds the images.")],
    images: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            "--images", help="References: a folder with a folder a class, or a manifest. Without: the run's own."
        ),
    ] = None,
    calibrate: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--calibrate", help="Images to calibrate on, in the same form."),
    ] = None,
    alpha: Alpha = None,
    plugin: Plugins = None,
    as_json: Json = False,
) -> None:
    """Make an index of a run's model and labelled images; it holds the model, and opens on another machine."""
    from nearkin.cli import index_work

    index_work.build(
        index, run=run, images=images, calibrate=calibrate, alpha=alpha, plugins=plugin or [], as_json=as_json
    )


@index_app.command()
def info(
    index: Place,
    alphas: Annotated[bool, typer.Option("--alphas", help="Show what other alphas would cost.")] = False,
    plugin: Plugins = None,
    as_json: Json = False,
) -> None:
    """What an index holds, what it promises, what happened to it, and how much it flagged beside alpha."""
    from nearkin.cli import index_look

    index_look.info(index, alphas=alphas, plugins=plugin or [], as_json=as_json)


@index_app.command()
def add(
    index: Place,
    images: Labelled = None,
    label: Label = None,
    group: Group = None,
    reviewed: Annotated[
        bool, typer.Option("--reviewed", help="People chose these to look at: they and their groups never calibrate.")
    ] = False,
    plugin: Plugins = None,
    as_json: Json = False,
) -> None:
    """Add images as references. The classes they join are to be calibrated again."""
    from nearkin.cli import index_work

    index_work.add(
        index, images or [], label=label, group=group, reviewed=reviewed, plugins=plugin or [], as_json=as_json
    )


@index_app.command()
def remove(
    index: Place,
    ids: Ids = None,
    label: Labels = None,
    group: Groups = None,
    plugin: Plugins = None,
    as_json: Json = False,
) -> None:
    """Remove references, by id, by class, or by group."""
    from nearkin.cli import index_look

    index_look.remove(index, ids=ids, labels=label, groups=group, plugins=plugin or [], as_json=as_json)


@index_app.command()
def relabel(
    index: Place,
    to: Annotated[str, typer.Argument(help="The new label.")],
    ids: Ids = None,
    label: Labels = None,
    group: Groups = None,
    plugin: Plugins = None,
    as_json: Json = False,
) -> None:
    """Give references another label, by id, by class, or by group."""
    from nearkin.cli import index_look

    index_look.relabel(index, to, ids=ids, labels=label, groups=group, plugins=plugin or [], as_json=as_json)


@index_app.command()
def merge(
    index: Place,
    other: Annotated[Path, typer.Argument(help="Another index of the same model. It stays as it is.")],
    renumber: Annotated[bool, typer.Option("--renumber", help="Give the other's references new ids.")] = False,
    drop_calibration: Annotated[
        bool, typer.Option("--drop-calibration", help="Keep no calibration; calibrate anew afterwards.")
    ] = False,
    plugin: Plugins = None,
    as_json: Json = False,
) -> None:
    """Take in all that another index of the same model holds."""
    from nearkin.cli import index_look

    index_look.merge(
        index, other, renumber=renumber, keep_calibration=not drop_calibration, plugins=plugin or [], as_json=as_json
    )


@index_app.command()
def calibrate(
    index: Place,
    images: Labelled = None,
    label: Label = None,
    group: Group = None,
    alpha: Alpha = None,
    on_references: Annotated[
        bool,
        typer.Option(
            "--on-references", help="On the references that trained nothing, each group against the others (knn)."
        ),
    ] = False,
    plugin: Plugins = None,
    as_json: Json = False,
) -> None:
    """Calibrate on held-out images; without any, again on those it was calibrated on."""
    from nearkin.cli import index_work

    index_work.calibrate(
        index,
        images or [],
        label=label,
        group=group,
        alpha=alpha,
        on_references=on_references,
        plugins=plugin or [],
        as_json=as_json,
    )


@index_app.command()
def query(
    index: Place,
    images: list[Path],
    alpha: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Decide at another alpha than the index's: a share, or an operating point's name."),
    ] = None,
    k: Annotated[int, typer.Option("-k", help="How many neighbours to show.")] = 5,
    where: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            "--where", help="Ask about some references: label=covid, group=p7, source='ward-3/*'. Repeatable."
        ),
    ] = None,
    record: Annotated[bool, typer.Option("--record", help="Count the statuses in the index's history.")] = False,
    plugin: Plugins = None,
    as_json: Json = False,
) -> None:
    """Ask about images: this cluster, or unknown."""
    from nearkin.cli import index_work

    index_work.query(
        index, images, alpha=alpha, k=k, where=where or [], record=record, plugins=plugin or [], as_json=as_json
    )


@index_app.command()
def alphas(
    index: Place,
    images: list[Path],
    alpha: Annotated[
        Optional[list[float]],  # noqa: UP045
        typer.Option("--alpha", help="One to compare. May be given several times; left out: 0.01 to 0.30."),
    ] = None,
    plugin: Plugins = None,
    as_json: Json = False,
) -> None:
    """What each alpha costs, to choose one: own images flagged, and how many of these a person would look at."""
    from nearkin.cli import index_work

    index_work.alphas(index, images, alphas=alpha or [], plugins=plugin or [], as_json=as_json)


@index_app.command()
def verify(index: Place, plugin: Plugins = None, as_json: Json = False) -> None:
    """Check every file against its hash, and scores and search against the references. Ends with 4 where one fails."""
    from nearkin.cli import index_look

    index_look.verify(index, plugins=plugin or [], as_json=as_json)


@index_app.command()
def export(
    index: Place,
    output: Annotated[Path, typer.Argument(help="A new file that ends in .parquet or .npz.")],
    plugin: Plugins = None,
    as_json: Json = False,
) -> None:
    """Write vectors, ids, labels, groups and sources for other tools."""
    from nearkin.cli import index_look

    index_look.export(index, output, plugins=plugin or [], as_json=as_json)
