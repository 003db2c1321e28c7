"""The index commands that embed images: build, add, calibrate, query, alphas."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nearkin.cli import show
from nearkin.cli.index_images import given, parted
from nearkin.cli.index_look import print_alphas, references, tell
from nearkin.contracts import Embedded, Split
from nearkin.data.items import Item
from nearkin.errors import UsageError, listing
from nearkin.index import Index
from nearkin.index.alphas import ALPHAS
from nearkin.index.settings import alpha_problem
from nearkin.indexes import edit_index, load_index
from nearkin.run import Run, load_run


def build(
    path: Path,
    *,
    run: Path,
    images: Path | None,
    calibrate: Path | None,
    alpha: float | None,
    plugins: Sequence[Path],
    as_json: bool,
) -> None:
    """`nearkin index build`."""
    check_alpha(alpha)
    if path.exists():
        raise UsageError(f"{path}: exists already. 'nearkin index add' adds to it; else choose another name.")
    others: tuple[Split, ...] = () if calibrate else ("calibrate",)  # with a source of their own, these are left out
    parts = parted([images], "train", *others) if images else {}
    held_out = parted([calibrate], "calibrate") if calibrate else parts
    with show.busy(f"building {path}") as told, _keeping(kept := path.with_name(f"{path.name}.embedding")):
        opened = load_run(run, plugin_files=plugins)
        index = opened.index
        references, calibration = parts.get("train") or [], held_out.get("calibrate") or []
        if references or calibration:
            embedded = _embedded(opened, [*references, *calibration], kept, told)
            if embedded is None:
                return  # one of several processes, whose share is done
            index = index.blank() if parts else index
            if references:
                index.add(**_given_embedded(references, embedded, 0))
            if calibration:
                index.calibrate(**_given_embedded(calibration, embedded, len(references)))
        if alpha is not None:
            index.recalibrate(alpha)
        index.save(path)
    _discard(kept)
    tell(index, f"built {path}", as_json, path=str(path))


@contextmanager
def _keeping(kept: Path) -> Iterator[None]:
    """Where the work breaks off, what was embedded so far is not lost."""
    try:
        yield
    except BaseException:
        if kept.exists():
            show.message(f"embeddings made so far are kept in {kept}; the same command goes on from there.")
        raise


def _embedded(run: Run, items: Sequence[Item], kept: Path, told: Callable[[int, int], None]) -> Embedded | None:
    """The items' embeddings, shared among the processes there are and kept until the index is saved."""
    from nearkin.shards import embed_files

    return embed_files(run.model, items, kept, told)


def _discard(kept: Path) -> None:
    if kept.exists():
        from nearkin.shards import discard

        discard(kept)


def _given_embedded(items: Sequence[Item], embedded: Embedded, first: int) -> dict[str, Any]:
    """As `given`, for items whose embeddings stand side by side, from row `first` on."""
    return {**given(items), "images_or_embeddings": embedded.rows(slice(first, first + len(items)))}


def add(
    path: Path,
    images: Sequence[Path],
    *,
    label: str | None,
    group: str | None,
    reviewed: bool = False,
    plugins: Sequence[Path],
    as_json: bool,
) -> None:
    """`nearkin index add`."""
    items = parted(images, "train", label=label, group=group)["train"]
    with show.busy(f"adding to {path}") as told, edit_index(path, plugin_files=plugins) as index:
        index.on_embed = told
        ids = index.add(**given(items), reviewed=reviewed)
    _tell_copies(index, ids)
    tell(index, f"added {references(len(ids))}", as_json, ids=ids)


def _tell_copies(index: Index, new_ids: Sequence[int]) -> None:
    """Which of the new references are copies of others, pixel for pixel: somebody may have added them twice."""
    held, new = index.references, set(new_ids)
    times = Counter(held.digests)
    sources = zip(held.ids.tolist(), held.digests, held.sources, strict=True)
    copies = [source for i, digest, source in sources if i in new and digest and times[digest] > 1]
    if copies:
        show.message(f"in the index more than once, pixel for pixel: {listing(copies)}.")


def calibrate(
    path: Path,
    images: Sequence[Path],
    *,
    label: str | None,
    group: str | None,
    alpha: float | None,
    on_references: bool = False,
    plugins: Sequence[Path],
    as_json: bool,
) -> None:
    """`nearkin index calibrate`."""
    check_alpha(alpha)
    _check_words(images, label, group, on_references)
    items = parted(images, "calibrate", label=label, group=group)["calibrate"] if images else []
    with show.busy(f"calibrating {path}") as told, edit_index(path, plugin_files=plugins) as index:
        index.on_embed = told
        if items:
            index.calibrate(**given(items), alpha=alpha)
        elif on_references:
            index.calibrate_on_references(label, alpha=alpha)
        else:
            index.recalibrate(alpha)
    _tell_dropped(index)
    show.message(str(index.promise))
    facts = {"promise": str(index.promise), "groups": dict(index.promise.groups)}
    tell(index, "calibrated", as_json, **facts)


def _check_words(images: Sequence[Path], label: str | None, group: str | None, on_references: bool) -> None:
    """`UsageError` for options of `calibrate` that would have no effect."""
    if on_references and images:
        raise UsageError("--on-references calibrates on the index's own references: name no images.")
    if on_references and group is not None:
        raise UsageError("--group goes with image files. With --on-references, --label names a class.")
    if not images and not on_references and (label, group) != (None, None):
        raise UsageError(
            "--label and --group go with image files, and none are named. Name some, or leave the options out; "
            "with --on-references, --label names a class."
        )


def _tell_dropped(index: Index) -> None:
    """Which classes lost their calibration items because it went another way this time."""
    dropped = index.history[-1].details.get("dropped")
    if dropped:
        show.message(
            f"calibration images of {listing(map(repr, dropped))} were dropped: the index holds no reference of "
            "such a class, and is calibrated in another way now."
        )


def query(
    path: Path,
    images: Sequence[Path],
    *,
    alpha: str | None,
    k: int,
    plugins: Sequence[Path],
    as_json: bool,
    where: Sequence[str] = (),
    record: bool = False,
) -> None:
    """`nearkin index query`, and `nearkin query`."""
    level = level_of(alpha)
    wanted = filter_of(where) if where else None
    opened = edit_index if record else _opened
    with show.busy(f"asking {path}") as told, opened(path, plugin_files=plugins) as index:
        index.on_embed = told
        answers = index.query(list(images), k=k, alpha=level, where=wanted, record=record)
    show.print_answers(list(map(str, images)), answers, as_json=as_json)


def alphas(
    path: Path, images: Sequence[Path], *, alphas: Sequence[float], plugins: Sequence[Path], as_json: bool
) -> None:
    """`nearkin index alphas`."""
    for alpha in alphas:
        check_alpha(alpha)
    with show.busy(f"asking {path}") as told, _opened(path, plugin_files=plugins) as index:
        index.on_embed = told
        table = index.alpha_table(list(images), alphas=alphas or ALPHAS)
    if as_json:
        show.print_json([asdict(row) for row in table])
    else:
        print_alphas(table)


@contextmanager
def _opened(path: Path, *, plugin_files: Sequence[Path]) -> Iterator[Index]:
    """To read, beside a writer."""
    yield load_index(path, plugin_files=plugin_files)


def filter_of(where: Sequence[str]) -> dict[str, list[str]]:
    """`["label=a", "label=b"]` -> `{"label": ["a", "b"]}`"""
    found: dict[str, list[str]] = {}
    for text in where:
        key, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--where {text}: write it as label=..., group=... or source=...")
        found.setdefault(key, []).append(value)
    return found


def level_of(text: str | None) -> float | str | None:
    """A number, or an operating point's name."""
    try:
        level = None if text is None else float(text)
    except ValueError:
        return text
    check_alpha(level)
    return level


def check_alpha(alpha: float | None) -> None:
    """`UsageError` where it is no share."""
    if alpha is not None and (problem := alpha_problem(alpha)):
        raise UsageError(f"--{problem}")
