"""Indexes by path: the one of a run, or one saved on its own with its model; opened, or changed in one step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nearkin.arguments import several
from nearkin.contracts import Embed
from nearkin.index import Index, edit, load
from nearkin.index.opening import saved_parts
from nearkin.model import load_model
from nearkin.plugins import load_registries
from nearkin.run import index_folder, load_run


@contextmanager
def edit_index(
    path: Path | str, *, plugins: Iterable[Any] = (), plugin_files: Iterable[Path | str] = ()
) -> Iterator[Index]:
    """Open the index of a run, or one saved on its own, change it, and save it in one step:

        with nearkin.edit_index("cxr.index") as index:
            index.add(images, labels=labels)

    A second writer is refused at once (`WorkFailed`). Where the block raises, the folder stays as it was.
    """
    with edit(index_folder(path), lambda: load_index(path, plugins=plugins, plugin_files=plugin_files)) as index:
        yield index


def load_index(path: Path | str, *, plugins: Iterable[Any] = (), plugin_files: Iterable[Path | str] = ()) -> Index:
    """Open the index of a run, or one that `index.save` wrote: its model is inside."""
    folder = index_folder(path)
    if folder != Path(path):
        return load_run(path, plugins=plugins, plugin_files=plugin_files).index
    registries = load_registries(*several(plugins, "plugins"), files=plugin_files)

    def embed_for(files: Mapping[str, bytes]) -> Embed:
        return load_model(files, registries, str(path)).embed

    return load(folder, embed_for, **saved_parts(registries))
