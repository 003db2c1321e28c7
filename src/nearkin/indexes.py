"""Indexes by path: the one of a run, or one saved on its own with its model; opened, or changed in one step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nearkin.contracts import Embed
from nearkin.errors import UsageError
from nearkin.index import Index, edit, load
from nearkin.model import load_model
from nearkin.plugins import load_registries
from nearkin.run import RunFolder, load_run


@contextmanager
def edit_index(
    path: Path | str, *, plugins: Iterable[Any] = (), plugin_files: Iterable[Path | str] = ()
) -> Iterator[Index]:
    """Open the index of a run, or one saved on its own, change it, and save it in one step:

        with nearkin.edit_index("cxr.index") as index:
            index.add(images, labels=labels)

    A second writer is refused at once (`WorkFailed`). Where the block raises, the folder stays as it was.
    """
    _require_folder(path)
    with edit(_index_folder(path), lambda: load_index(path, plugins=plugins, plugin_files=plugin_files)) as index:
        yield index


def _require_folder(path: Path | str) -> None:
    if not Path(path).is_dir():
        raise UsageError(f"{path}: there is no such run or index. 'nearkin runs list' shows the runs there are.")


def _is_run(path: Path | str) -> bool:
    return any((Path(path) / name).exists() for name in ("recipe.yaml", "index"))


def _index_folder(path: Path | str) -> Path:
    return RunFolder(path).index if _is_run(path) else Path(path)


def load_index(path: Path | str, *, plugins: Iterable[Any] = (), plugin_files: Iterable[Path | str] = ()) -> Index:
    """Open the index of a run, or one that `index.save` wrote: its model is inside."""
    _require_folder(path)
    if _is_run(path):
        return load_run(path, plugins=plugins, plugin_files=plugin_files).index
    plugins, plugin_files = tuple(plugins), tuple(plugin_files)

    def embed_for(files: Mapping[str, bytes]) -> Embed:
        return load_model(files, load_registries(*plugins, files=plugin_files), str(path)).embed

    return load(Path(path), embed_for)
