"""The Hugging Face Hub: a run pushed as a model repository with a card, and pulled back as a run."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nearkin.contracts.figures import figure_text, resampled_text
from nearkin.errors import PluginError, UsageError, WorkFailed

if TYPE_CHECKING:
    from nearkin.run import Run

LEFT_BEHIND = ("checkpoints", "embeddings", "*.lock", "*.html")
"""What only this machine needs: checkpoints, embeddings that can be computed again, locks; and reports: they show
images."""
REPLACED = ("index/*", "evaluations/*", "folds/*")
"""Whose files have names of their own each time: those of an earlier push, and what they say of images, go with it."""
CARD = """\
---
library_name: nearkin
tags: [metric-learning, few-shot, image-classification, faiss]
pipeline_tag: image-feature-extraction
---

# {name}

A nearkin run: backbone `{backbone}`, method `{method}`, classes {classes}.

```python
from nearkin.export import pull

run = pull("{repo}")
answer = run.index.query("new.png")
```

{figures}

For research. The figures hold for the images that they were measured on, and nothing else.
"""


def push(run: Run, repo: str, *, private: bool = True, token: str | None = None, api: Any = None) -> str:
    """Upload a run as the model repository `repo` (`owner/name`); return its address. Needs the network and a token.

    What goes up: recipe, manifest, model, index and evaluations, as they lie on disk, and a model card. The index's
    references carry labels, groups and sources: look at them before you make it public.
    """
    _check_name(repo)
    client = api or _client(token)
    with tempfile.TemporaryDirectory() as staging:
        folder = stage(run, repo, Path(staging) / "run")
        try:
            client.create_repo(repo_id=repo, repo_type="model", private=private, exist_ok=True)
            done = client.upload_folder(
                repo_id=repo,
                repo_type="model",
                folder_path=str(folder),
                delete_patterns=list(REPLACED),
                commit_message=f"nearkin run {run.recipe.name}",
            )
        # The client raises many kinds; all mean that it is not there, or not complete.
        except Exception as error:
            raise WorkFailed(f"{repo}: could not be uploaded: {type(error).__name__}: {error}") from error
    return str(done)


def pull(
    repo: str, folder: Path | str | None = None, *, revision: str | None = None, token: str | None = None,
    plugins: Iterable[Any] = (), api: Any = None,
) -> Run:  # fmt: skip
    """Download a run that `push` uploaded, check every hash, and open it. Until all of it is here, nothing is."""
    from nearkin.run import load_run

    _check_name(repo)
    client = api or _client(token)
    place = Path(folder) if folder is not None else Path("runs") / repo.replace("/", "--") / "1"
    if place.exists() and any(place.iterdir()):
        raise UsageError(f"{place}: is there already. Remove it, or pull into another folder.")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{place.name}.", dir=place.parent) as beside:
            staged = Path(beside) / "run"
            client.snapshot_download(repo_id=repo, repo_type="model", revision=revision, local_dir=str(staged))
            _put(staged, place)
    except Exception as error:
        raise WorkFailed(f"{repo}: could not be downloaded: {type(error).__name__}: {error}") from error
    return load_run(place, plugins=plugins)


def _put(folder: Path, place: Path) -> None:
    """One rename; into an empty folder piece by piece, as that may be a link, or where somebody stands."""
    if not place.exists():
        folder.rename(place)
        return
    for part in folder.iterdir():
        shutil.move(part, place)


def stage(run: Run, repo: str, folder: Path) -> Path:
    """The files that `push` uploads, laid out as a run folder with a README.md."""
    shutil.copytree(run.path, folder, ignore=shutil.ignore_patterns(*LEFT_BEHIND))
    (folder / "README.md").write_text(card(run, repo), encoding="utf-8")
    return folder


def card(run: Run, repo: str) -> str:
    """The model card, with the figures that the run holds."""
    figures = [
        f"- {evaluator} {f['name']}: {figure_text(f)} ({resampled_text(f)})"
        for evaluator, views in run.evaluations.get("figures", {}).items()
        for f in views["model"]
        if f["value"] is not None and f["low"] is not None
    ]
    return CARD.format(
        name=run.recipe.name,
        backbone=" beside ".join(section.selection.type for section in run.recipe.backbones),
        method=run.recipe.method.type,
        classes=", ".join(f"`{label}`" for label in run.model.blueprint.classes),
        repo=repo,
        figures="\n".join(figures) or "It has not been evaluated.",
    )


def _check_name(repo: str) -> None:
    owner, slash, name = repo.partition("/")
    if not (owner and slash and name) or "/" in name:
        raise UsageError(f"{repo!r}: a repository on the Hub is named owner/name.")


def _client(token: str | None) -> Any:
    try:
        from huggingface_hub import HfApi
    except ImportError as error:
        raise PluginError('the Hub needs huggingface_hub: pip install "nearkin[hub]".') from error
    return HfApi(token=token)
