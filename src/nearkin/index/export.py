"""An index as a table for other tools: Parquet or NPZ, one row a reference."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from nearkin.errors import PluginError, UsageError, WorkFailed
from nearkin.files import sync_folder, to_json
from nearkin.index.references import References
from nearkin.writable import explaining

COLUMNS = ("labels", "groups", "sources", "digests")
FORMATS = (".parquet", ".npz")


def export(references: References, path: Path, about: dict[str, Any]) -> None:
    """Write ids, labels, groups, sources, digests, `trained` and vectors; `about` goes along as JSON text.

    The ending decides: `.parquet` (column `vector` is a fixed-size list; needs the extra `parquet`) or `.npz` (arrays
    that numpy reads without pickle). The outlier score's own space, where it has one, goes along as `space`. A file
    that is there is not overwritten.
    """
    if path.suffix not in FORMATS:
        raise UsageError(f"{path}: end its name in {' or '.join(FORMATS)}.")
    if path.exists():
        raise UsageError(f"{path}: exists already. Choose another name.")
    if not path.parent.is_dir():
        raise UsageError(f"{path}: there is no folder {path.parent}. Make it first.")
    write = _parquet if path.suffix == ".parquet" else _npz
    with explaining(path):
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
            made = Path(folder) / path.name
            write(references, made, to_json(about).decode())
            made.replace(path)
        sync_folder(path.parent)


def _npz(references: References, path: Path, about: str) -> None:
    texts: dict[str, Any] = {name: np.array(getattr(references, name), dtype=np.str_) for name in COLUMNS}
    cut = [name for name, values in texts.items() if values.tolist() != list(getattr(references, name))]
    if cut:
        raise WorkFailed(f"{path.name}: {cut[0]} with NUL characters at their end, which NPZ cuts off. Use .parquet.")
    vectors, ids, trained = references.vectors, references.ids, references.trained
    texts |= {} if references.space is None else {"space": references.space}
    np.savez(path, vectors=vectors, ids=ids, trained=trained, about=np.array(about), **texts)


def _parquet(references: References, path: Path, about: str) -> None:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise PluginError('Parquet needs pyarrow: pip install "nearkin[parquet]". Or end the name in .npz.') from error
    columns = {"vector": references.vectors} | ({} if references.space is None else {"space": references.space})
    table = pa.table(
        {
            "id": pa.array(references.ids),
            **{name.removesuffix("s"): pa.array(list(getattr(references, name)), pa.string()) for name in COLUMNS},
            "trained": pa.array(references.trained),
            **{
                name: pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(c).reshape(-1)), c.shape[1])
                for name, c in columns.items()
            },
        }
    )
    pq.write_table(table.replace_schema_metadata({"nearkin": about}), path)
