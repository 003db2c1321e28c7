"""A run goes to the Hub and comes back: everything up to the client's own calls, which need the network."""

from __future__ import annotations

import re
import shutil
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

import nearkin
from nearkin.errors import DamagedError, UsageError, WorkFailed
from nearkin.export import pull, push
from nearkin.export.hub import _client

OLD = Path(__file__).parents[1] / "examples" / "run-v1"
"""A finished, evaluated run."""


class Hub:
    """What a HfApi is asked for, answered from a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[dict[str, Any]] = []

    def create_repo(self, **asked: Any) -> None:
        self.asked.append(asked)

    def upload_folder(self, **asked: Any) -> str:
        self.asked.append(asked)
        for path in [one for one in self.folder.rglob("*") if one.is_file()]:  # as the Hub does, in one commit
            if any(fnmatch(str(path.relative_to(self.folder)), pattern) for pattern in asked["delete_patterns"]):
                path.unlink()
        shutil.copytree(asked["folder_path"], self.folder, dirs_exist_ok=True)
        return f"hub/{asked['repo_id']}"

    def snapshot_download(self, **asked: Any) -> str:
        self.asked.append(asked)
        shutil.copytree(self.folder, asked["local_dir"], dirs_exist_ok=True)
        return str(asked["local_dir"])


@pytest.fixture
def run(tmp_path: Path) -> nearkin.Run:
    shutil.copytree(OLD, tmp_path / "run")
    (tmp_path / "run" / "checkpoints").mkdir(exist_ok=True)
    return nearkin.load_run(tmp_path / "run")


def test_a_run_that_was_pushed_is_pulled_and_answers_alike(run: nearkin.Run, tmp_path: Path) -> None:
    hub = Hub(tmp_path / "hub")
    assert push(run, "me/tiny", api=hub) == "hub/me/tiny"
    again = pull("me/tiny", tmp_path / "pulled", api=hub)
    vector = run.index.references.vectors[0]
    assert again.index.query(vector).distances == run.index.query(vector).distances


def test_it_is_private_unless_asked_otherwise(run: nearkin.Run, tmp_path: Path) -> None:
    hub = Hub(tmp_path / "hub")
    push(run, "me/tiny", api=hub)
    assert hub.asked[0] == {"repo_id": "me/tiny", "repo_type": "model", "private": True, "exist_ok": True}


def test_the_card_says_what_it_is_and_how_well_it_does(run: nearkin.Run, tmp_path: Path) -> None:
    push(run, "me/tiny", api=Hub(tmp_path / "hub"))
    card = (tmp_path / "hub" / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: nearkin\n")
    assert 'pull("me/tiny")' in card
    assert re.search(r"clusters cluster_accuracy: [\d.]+ \[.+\] \(\d+ images\)", card), "with what was resampled"
    assert "http" not in card.split("---")[2]  # nearkin is in no package index: such a page would be somebody else's


def test_what_only_this_machine_needs_stays(run: nearkin.Run, tmp_path: Path) -> None:
    push(run, "me/tiny", api=Hub(tmp_path / "hub"))
    assert {"README.md", "manifest.json", "model.safetensors", "recipe.yaml", "index"} <= {
        path.name for path in (tmp_path / "hub").iterdir()
    }
    assert not (tmp_path / "hub" / "checkpoints").exists()
    assert not (tmp_path / "hub" / "embeddings").exists()
    assert not list((tmp_path / "hub").rglob("*.lock"))


def test_what_an_earlier_push_said_of_images_is_gone_after_another(run: nearkin.Run, tmp_path: Path) -> None:
    hub = Hub(tmp_path / "hub")
    push(run, "me/tiny", api=hub)
    (tmp_path / "hub" / "NOTES.md").write_text("mine")
    with nearkin.edit_index(run.path) as index:
        index.remove(labels=index.labels[0])
    push(nearkin.load_run(run.path), "me/tiny", api=hub)
    held = {path.name for path in (tmp_path / "hub" / "index").iterdir()}
    assert held == {path.name for path in (run.path / "index").iterdir() if path.suffix != ".lock"}
    assert (tmp_path / "hub" / "NOTES.md").read_text() == "mine"


def test_what_was_changed_on_the_way_is_refused(run: nearkin.Run, tmp_path: Path) -> None:
    hub = Hub(tmp_path / "hub")
    push(run, "me/tiny", api=hub)
    weights = tmp_path / "hub" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(DamagedError, match=r"model\.safetensors"):
        pull("me/tiny", tmp_path / "pulled", api=hub)


@pytest.mark.parametrize("name", ["tiny", "me/", "/tiny", "a/b/c"])
def test_a_repository_is_named_owner_and_name(run: nearkin.Run, name: str) -> None:
    with pytest.raises(UsageError, match="owner/name"):
        push(run, name)


def test_nothing_is_pulled_over_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="there already"):
        pull("me/tiny", tmp_path, api=Hub(tmp_path / "hub"))


@pytest.mark.parametrize("empty", [False, True], ids=["no folder", "an empty folder"])
def test_after_a_dropped_download_the_same_pull_works(run: nearkin.Run, tmp_path: Path, empty: bool) -> None:
    class Drops(Hub):
        def snapshot_download(self, **asked: Any) -> str:
            super().snapshot_download(**asked)
            raise ConnectionError("lost")

    push(run, "me/tiny", api=Hub(tmp_path / "hub"))
    place = tmp_path / "runs" / "pulled"
    if empty:
        place.mkdir(parents=True)
    with pytest.raises(WorkFailed, match="me/tiny: could not be downloaded: ConnectionError: lost"):
        pull("me/tiny", place, api=Drops(tmp_path / "hub"))
    assert list(place.parent.iterdir()) == [place] * empty
    assert pull("me/tiny", place, api=Hub(tmp_path / "hub")).path == place
    assert list(place.parent.iterdir()) == [place]


def test_a_run_is_pulled_into_the_folder_that_one_stands_in(
    run: nearkin.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(run, "me/tiny", api=Hub(tmp_path / "hub"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert pull("me/tiny", ".", api=Hub(tmp_path / "hub")).recipe.name == run.recipe.name


def test_a_hub_that_cannot_be_reached_is_said_plainly(run: nearkin.Run, tmp_path: Path) -> None:
    class Down(Hub):
        def create_repo(self, **asked: Any) -> None:
            raise ConnectionError("no route")

    with pytest.raises(WorkFailed, match="me/tiny: could not be uploaded: ConnectionError: no route"):
        push(run, "me/tiny", api=Down(tmp_path / "hub"))


def test_the_real_client_takes_the_same_calls() -> None:
    """The names of arguments are the real client's."""
    import inspect

    client = _client("token")
    inspect.signature(client.create_repo).bind(repo_id="a/b", repo_type="model", private=True, exist_ok=True)
    inspect.signature(client.upload_folder).bind(
        repo_id="a/b", repo_type="model", folder_path=".", delete_patterns=["index/*"], commit_message="message"
    )
    inspect.signature(client.snapshot_download).bind(repo_id="a/b", repo_type="model", revision=None, local_dir=".")
