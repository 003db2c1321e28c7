"""Claims about damaged folders: refused by name before anything is parsed; where the hashes agree, refused or answered.

The second kind is a stranger's folder: whatever it holds, opening it must neither crash nor take the machine's memory.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import nearkin
from nearkin.errors import DamagedError
from nearkin.files import MANIFEST, read_bundle, save_bundle
from nearkin.index import Index, load
from tests.index.damage import damages, make_right
from tests.index.open_damaged import EXAMPLE, open_and_ask

ROOT = Path(__file__).parents[2]
MOST_MB = 512


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A finished run, an index saved with its model, and one whose model's description asks for 3 GB."""
    root = tmp_path_factory.mktemp("whole")
    shutil.copytree(EXAMPLE, root / "run")
    for name in ("index", "huge"):
        index = nearkin.load_run(root / "run").index
        index.relabel("1", ids=index.add(index.references.vectors[0], labels="0"))  # a history
        index.save(root / name)
    description = next(
        path for path in (root / "huge").iterdir() if path.name.startswith("model-") and path.suffix == ".json"
    )
    said = json.loads(description.read_bytes())
    said["backbone"] = {"type": "resnet12", "options": {"image_size": 1024, "width": 512, "embedding_dim": 4096}}
    description.write_bytes(json.dumps(said).encode())
    make_right(description)
    return {name: root / name for name in ("run", "index", "huge")}


@pytest.mark.soak
@pytest.mark.parametrize("name", ["run", "index"])
def test_a_changed_or_cut_file_is_refused_by_name_before_it_is_parsed(
    name: str, folders: dict[str, Path], count: Callable[[str, int, int], int], soaked: Callable[[str], None]
) -> None:
    n = count("changes and cuts", 15, 1000)
    for damage in damages(folders[name], n, seed=1):
        whole = damage.path.read_bytes()
        damage.path.write_bytes(damage.applied(whole))
        with pytest.raises(DamagedError) as error:
            open_and_ask(folders[name])
        # Only the check of size and hash speaks so; what parses says that a file "does not hold what" it should.
        assert str(damage.path) in str(error.value), damage
        assert "disagrees" in str(error.value) or "but the manifest says" in str(error.value), damage
        damage.path.write_bytes(whole)
    open_and_ask(folders[name])
    soaked(f"{n:,} random changes of a byte and cuts over every file: all refused by name before parsing.")


@pytest.mark.soak
def test_where_the_hashes_agree_it_is_an_error_of_ours_or_an_answer(
    folders: dict[str, Path], count: Callable[[str, int, int], int], soaked: Callable[[str], None]
) -> None:
    n = count("changes and cuts with hashes made right", 15, 1000)
    asked = {"run": n, "index": n, "huge": 0}
    words = [f"{folders[name]}={times}" for name, times in asked.items()]
    command = [sys.executable, "-m", "tests.index.open_damaged", "2", *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-3000:]
    found = dict(zip(asked, map(json.loads, done.stdout.splitlines()), strict=True))
    untyped = {what for each in found.values() for what in each["seen"] if "Traceback" in what}
    assert not untyped, "\n".join(sorted(untyped)[:3])
    assert all(each["grew_mb"] < MOST_MB for each in found.values())
    assert found["huge"]["seen"] == {"DamagedError": 1}
    for name in ("run", "index"):
        assert found[name]["seen"]["DamagedError"] > n / 4, "the damage did not reach what is read"
    said = "; ".join(f"{name}: {told(found[name]['seen'])}" for name in ("run", "index"))
    grew = max(each["grew_mb"] for each in found.values())
    soaked(f"{n:,} changes and cuts each, hashes made right again: {said}. No crash; memory grew by {grew:.0f} MB.")


def told(seen: dict[str, int]) -> str:
    return ", ".join(f"{times:,} {what}" for what, times in sorted(seen.items()))


def test_a_header_larger_than_any_of_ours_is_refused(make: Callable[..., Index], tmp_path: Path) -> None:
    make().save(tmp_path)
    bundle = read_bundle(tmp_path, format_name="nearkin index", version=2)
    header = b'{"vectors":{"dtype":"F32","shape":[0,3],"data_offsets":[0,0]}}' + b" " * 2**23
    tensors = np.uint64(len(header)).tobytes() + header
    files = {**bundle.files, "references.safetensors": tensors}
    save_bundle(tmp_path, files, bundle.meta, format_name="nearkin index", version=2)
    with pytest.raises(DamagedError, match=r"references\.safetensors: .* header"):
        load(tmp_path)


def test_a_manifest_larger_than_any_of_ours_is_refused_before_reading(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_bytes(b"[" * 2**24)
    with pytest.raises(DamagedError, match="refused before reading"):
        load(tmp_path)
