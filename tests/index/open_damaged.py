"""Opens folders whose hashes agree though their files were damaged; a process of its own, so that a crash is seen.

`python -m tests.index.open_damaged SEED FOLDER=N ...` damages each folder N times (0: opens it as it is) and prints,
a line of JSON a folder, how many gave an answer and how many which error, and by how many MB memory grew. Errors that
are not nearkin's are there in full. A crash's last line on stderr says at which damage.
"""

from __future__ import annotations

import faulthandler
import json
import resource
import sys
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import nearkin
from nearkin.embeddings import EmbeddingCache
from nearkin.errors import NearkinError
from nearkin.files import MANIFEST
from nearkin.run import RunFolder
from tests.index.damage import damages, make_right

EXAMPLE = Path(__file__).parents[1] / "examples" / "run-v1"
"""Opened first, so that what libraries take for themselves is not counted."""
SECONDS_EACH = 60
MOST_BYTES = 16 * 2**30
"""Of address space: the machine stays usable whatever a damaged file asks for."""


def open_and_ask(folder: Path) -> None:
    """Everything that a user may open of a run or an index."""
    index = nearkin.load_index(folder)
    index.query(np.ones((2, index.references.vectors.shape[1]), dtype=np.float32))
    if (folder / "recipe.yaml").exists():
        run = nearkin.load_run(folder)
        EmbeddingCache(RunFolder(folder).embeddings, run.model)
        assert run.evaluations is not None
        assert run.metrics is not None


def outcome(folder: Path) -> str:
    faulthandler.dump_traceback_later(SECONDS_EACH, exit=True)
    try:
        open_and_ask(folder)
    except NearkinError as error:
        return type(error).__name__
    except Exception:
        return traceback.format_exc()
    finally:
        faulthandler.cancel_dump_traceback_later()
    return "answer"


def memory_mb() -> float:
    """The most that this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def outcomes(folder: Path, seed: int, n: int) -> Iterator[str]:
    """Of each damage; the files are whole again after it."""
    for damage in damages(folder, n, seed):
        print(damage, file=sys.stderr, flush=True)
        whole = {path: path.read_bytes() for path in (damage.path.parent / MANIFEST, damage.path)}
        damage.path.write_bytes(damage.applied(whole[damage.path]))
        make_right(damage.path)
        yield outcome(folder)
        for path, data in whole.items():
            path.write_bytes(data)


def main(seed: int, asked: dict[Path, int]) -> None:
    open_and_ask(EXAMPLE)
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    for folder, n in asked.items():
        before = memory_mb()
        seen = Counter(outcomes(folder, seed, n) if n else [outcome(folder)])
        print(json.dumps({"seen": seen, "grew_mb": memory_mb() - before}), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), {Path(folder): int(n) for folder, n in (word.rsplit("=", 1) for word in sys.argv[2:])})
