"""The run folder: the one place that knows its file names; and the `Run` that opens one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from nearkin.arguments import path_of, several
from nearkin.errors import DamagedError, NoIndexError, PluginError, RecipeError, UsageError, WorkFailed
from nearkin.files import MANIFEST, Bundle, read_bundle, read_manifest, save_bundle, write_manifest
from nearkin.locks import held_alone
from nearkin.parsing import parsing
from nearkin.places import Place
from nearkin.plugins import load_registries
from nearkin.provenance import perhaps_changed
from nearkin.recipe import Recipe, parse_recipe, to_yaml
from nearkin.registry import Registries
from nearkin.writable import explaining

if TYPE_CHECKING:
    from nearkin.contracts import Embedded, FloatArray
    from nearkin.index import Index
    from nearkin.model import Model

FORMAT, VERSION = "nearkin run", 1
EVALUATION_FORMAT, EVALUATION_VERSION = "nearkin evaluation", 1
LOCK = ".lock"
State = Literal["training", "interrupted", "failed", "finished"]


class _Inside:
    """A name inside a run folder."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, folder: RunFolder, _: object = None) -> Path:
        return folder.path / self.name


class RunFolder:
    """The names inside `runs/<name>/<number>/`. It stays that folder wherever the process goes."""

    recipe = _Inside("recipe.yaml")
    metrics = _Inside("metrics.jsonl")
    checkpoints = _Inside("checkpoints")
    embeddings = _Inside("embeddings")
    evaluations = _Inside("evaluations")
    index = _Inside("index")
    folds = _Inside("folds")

    def __init__(self, path: Path | str) -> None:
        self._place = Place(path_of(path, "a run"))

    @property
    def path(self) -> Path:
        """As it was given, for as long as that leads there."""
        return self._place.path

    @classmethod
    def create(cls, root: Path, name: str) -> RunFolder:
        """The next free number under `root/name`; two trainings at once get two."""
        parent = root / name
        with explaining(parent):
            parent.mkdir(parents=True, exist_ok=True)
            taken = [int(path.name) for path in parent.iterdir() if path.name.isdigit()]
            number = max(taken, default=0) + 1
            while True:
                try:
                    (parent / str(number)).mkdir()
                    return cls(parent / str(number))
                except FileExistsError:
                    number += 1

    def start(self, recipe: Recipe, facts: Mapping[str, Any]) -> None:
        """Write the resolved recipe and a manifest that says the run is under way."""
        files = {"recipe.yaml": to_yaml(recipe).encode()}
        meta = {**facts, "state": "training", "started": now()}
        save_bundle(self.path, files, meta, format_name=FORMAT, version=VERSION, fixed_names=True)

    def mark(self, state: State, **facts: Any) -> None:
        """Change the state, and add facts, in one rename; the listed files stay as they are."""
        body = read_manifest(self.path, format_name=FORMAT, version=VERSION)
        with explaining(self.path):
            write_manifest(self.path, {**body, "meta": {**body["meta"], **facts, "state": state}})

    def finish(self, files: Mapping[str, bytes], **facts: Any) -> None:
        """Add the trained model to what the manifest confirms, and make the run finished."""
        old = read_bundle(self.path, format_name=FORMAT, version=VERSION)
        everything = {**old.files, **files, self.metrics.name: self.metrics.read_bytes()}
        meta = {**old.meta, **facts, "state": "finished", "finished": now()}
        save_bundle(self.path, everything, meta, format_name=FORMAT, version=VERSION, fixed_names=True)

    @contextmanager
    def owned(self) -> Iterator[None]:
        """Train this run alone; `WorkFailed` where another process does. A killed process owns nothing any more."""
        refusal = f"{self.path}: another process is training this run. Wait for it, or stop it."
        with ExitStack() as held:
            with explaining(self.path):
                held.enter_context(held_alone(self.path / LOCK, refusal))
            yield

    @property
    def busy(self) -> bool:
        """Whether some process is training it right now; not, for all we know, where we may not take its lock."""
        try:
            with held_alone(self.path / LOCK, "busy"):
                return False
        except WorkFailed:
            return True
        except OSError:
            return False

    def state_of(self, meta: Mapping[str, Any]) -> str:
        """As the manifest says, but that a run whose process was killed is not training any more."""
        written = meta.get("state")
        return "unfinished" if written == "training" and not self.busy else str(written)

    def read(self) -> Bundle:
        """Every file of the training, confirmed by its hash."""
        if not self.path.is_dir():
            raise UsageError(f"{self.path}: there is no such run. 'nearkin runs list' shows those there are.")
        return read_bundle(self.path, format_name=FORMAT, version=VERSION)


def now() -> str:
    """UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class Run:
    """A finished run, opened: hashes checked, recipe read back, model and index at hand."""

    def __init__(self, folder: RunFolder, bundle: Bundle, recipe: Recipe, registries: Registries) -> None:
        self.folder = folder
        self.recipe = recipe
        self.registries = registries
        self.facts: Mapping[str, Any] = bundle.meta
        self._files = bundle.files

    @property
    def path(self) -> Path:
        """The folder, as it was given."""
        return self.folder.path

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @cached_property
    def metrics(self) -> list[dict[str, Any]]:
        """What happened while training, a dict a line of metrics.jsonl."""
        with parsing(self.folder.metrics):
            return [json.loads(line) for line in self._files[self.folder.metrics.name].splitlines()]

    @property
    def evaluations(self) -> dict[str, Any]:
        """What came out: {} before `nearkin evaluate`. Figures by evaluator, then by view."""
        if not (self.folder.evaluations / MANIFEST).exists():
            return {}
        bundle = read_bundle(self.folder.evaluations, format_name=EVALUATION_FORMAT, version=EVALUATION_VERSION)
        with parsing(self.folder.evaluations):
            self._require_own("evaluation", bundle.meta["model"])
            found: dict[str, Any] = json.loads(bundle.files["figures.json"])
        return found

    @cached_property
    def model(self) -> Model:
        """The trained model, on the CPU."""
        from nearkin.model import load_model

        return load_model(self._files, self.registries, str(self.path))

    @cached_property
    def model_digest(self) -> str:
        """The model's hash, worked out once: a finished run's model does not change."""
        return self.model.digest()

    @cached_property
    def folds(self) -> tuple[Run, ...]:
        """The runs of the folds, where the recipe calibrates cross-conformally; else none."""
        places = [self.folder.folds / str(number) for number in range(1, self.recipe.unknown.n_folds + 1)]
        if missing := [str(place) for place in places if not place.is_dir()]:
            raise DamagedError(f"{', '.join(missing)}: missing; it calibrates this run. Restore it from a copy.")
        return tuple(_open(RunFolder(place), self.registries) for place in places)

    @cached_property
    def index(self) -> Index:
        """The run's index, ready for queries."""
        from nearkin.index import load
        from nearkin.index.model_link import ModelLink
        from nearkin.index.opening import saved_parts

        if self.model.no_index:
            raise NoIndexError(f"{self.path}: has no index: {self.model.no_index} run.compare answers for it.")
        index = load(
            self.folder.index,
            embed=self.model.embed,
            model_files=self.model.files,
            fold_models=[ModelLink(run.model.embed, run.model.files, run.model_digest) for run in self.folds],
            **saved_parts(self.registries),
        )
        self._require_own("index", index.model_digest)
        return index

    def _require_own(self, what: str, model_digest: str) -> None:
        """Parts of a run that were made with another model's embeddings are not its own."""
        if model_digest != self.model_digest:
            raise DamagedError(f"{self.path}: its {what} was made with another model. Restore it from a copy.")

    def embed(self, images: Any) -> FloatArray:
        """Paths, PIL images or arrays -> (n, d) float32, transformed. One image gives (1, d)."""
        return self.model.embed(self._images(images)).vectors

    def embed_each(self, images: Any) -> Embedded:
        """The embeddings by the run's model and by those of its folds: what a cross-conformal index is asked with."""
        given = self._images(images)
        return replace(self.model.embed(given), folds=tuple(fold.model.embed(given) for fold in self.folds))

    def _images(self, given: Any) -> list[Any]:
        from nearkin.index.items import items_of

        return items_of(given, self.model.embedding_dim)

    def compare(self, queries: Any, support: Any, support_labels: Sequence[str]) -> FloatArray:
        """Images or (n, d) embeddings -> (q, c) scores, higher is closer; columns in order of first appearance."""
        import numpy as np

        from nearkin.index.labels import label_list

        support_vectors = self._vectors(support)
        given = label_list("support_labels", support_labels, len(support_vectors))
        codes = {label: code for code, label in enumerate(dict.fromkeys(given))}
        if not len(support_vectors) or len(support_vectors) != len(given):
            raise UsageError(f"compare: {len(support_vectors)} support images, {len(given)} labels; one each.")
        return self.model.compare(self._vectors(queries), support_vectors, np.array([codes[label] for label in given]))

    def _vectors(self, given: Any) -> FloatArray:
        from nearkin.index.inputs import read, refuse, vector_problems

        dim, metric = self.model.embedding_dim, self.model.method.metric
        vectors = read(given, dim, self.model.embed).vectors
        refuse(vector_problems(vectors, dim, metric))
        # A copy, because torch takes no read-only memory, and an index's references are that.
        return vectors.copy()


def load_run(path: Path | str, *, plugins: Iterable[Any] = (), plugin_files: Iterable[Path | str] = ()) -> Run:
    """Open a finished run. Raises `DamagedError`, `PluginError`, or `WorkFailed` where it never finished."""
    return _open(RunFolder(path), load_registries(*several(plugins, "plugins"), files=plugin_files))


def _open(folder: RunFolder, registries: Registries) -> Run:
    bundle = folder.read()
    if bundle.meta.get("state") != "finished":
        raise WorkFailed(
            f"{folder.path}: this run is {folder.state_of(bundle.meta)}, not finished. "
            f"Continue it with 'nearkin train --resume {folder.path}'."
        )
    return Run(folder, bundle, read_run_recipe(folder, bundle, registries), registries)


def read_run_recipe(folder: RunFolder, bundle: Bundle, registries: Registries) -> Recipe:
    """The run's resolved recipe; where a plugin is missing, the error says which made the run."""
    with parsing(folder.recipe):
        text = bundle.files[folder.recipe.name].decode()
    try:
        return parse_recipe(text, registries, name=str(folder.recipe), settled=True)
    except RecipeError as error:
        with parsing(folder.path / MANIFEST):
            parts = bundle.meta.get("components", [])
            missing = [c for c in parts if not registries.of(c["kind"]).named(c["name"])]
            other = missing or perhaps_changed(parts, registries)
            said = ", ".join(f"{c['kind']} {c['name']} of {c['from']} {c['version']}" for c in other)
        if not other:
            raise
        what = "are not installed here" if missing else "may be others here, and its recipe does not read with these"
        raise PluginError(
            f"{folder.path}: this run was made with parts that {what}: {said}. "
            f"Install what brings them, or pass it with --plugin FILE or plugins=[module].\n{error}"
        ) from error


def index_folder(path: Path | str) -> Path:
    """Where the index lies: inside a run, or the path itself. `UsageError` where there is no such folder."""
    path = path_of(path, "a run or index")
    if not path.is_dir():
        raise UsageError(f"{path}: there is no such run or index. 'nearkin runs list' shows the runs there are.")
    is_run = any((path / name).exists() for name in ("recipe.yaml", "index"))
    return RunFolder(path).index if is_run else path
