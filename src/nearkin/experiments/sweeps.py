"""A sweep: several trainings in one go, each a normal run; what is finished stays finished whatever happens."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nearkin.arguments import PluginLists, plugin_lists
from nearkin.device import processes_launched
from nearkin.errors import DataError, NearkinError, UsageError, WorkFailed
from nearkin.evaluation import evaluate
from nearkin.experiments.cross_conformal import resume as resume_run
from nearkin.experiments.cross_conformal import train
from nearkin.experiments.plan import Training, plan
from nearkin.experiments.repeat import Repeated
from nearkin.files import MANIFEST, read_bundle, read_manifest, save_bundle, write_manifest
from nearkin.plugins import load_registries
from nearkin.recipe import parse_recipe, to_yaml
from nearkin.run import Run, RunFolder, load_run, now
from nearkin.training.watch import Watch, watching

FORMAT, VERSION = "nearkin sweep", 1


def sweep(
    recipes: Sequence[Path | str],
    *,
    overrides: Sequence[str] = (),
    seeds: int | Sequence[int] | None = None,
    leave_one_class_out: bool = False,
    plugins: Iterable[Any] = (),
    plugin_files: Iterable[Path | str] = (),
    runs: Path | str = "runs",
    watch: Watch | None = None,
) -> Sweep:
    """Train and evaluate every recipe with every seed (5: the seeds 0 to 4), or without each class in turn.

    Raises `WorkFailed` where it is interrupted: the error says how to continue. A training that fails is recorded,
    and the others go on.
    """
    _refuse_several_processes()
    brought = plugin_lists(plugins, plugin_files)
    if not recipes:
        raise UsageError("a sweep takes a recipe or more.")
    trainings = plan(
        recipes,
        load_registries(*brought.plugins, files=brought.plugin_files),
        overrides=overrides,
        seeds=range(seeds) if isinstance(seeds, int) else seeds,
        leave_one_class_out=leave_one_class_out,
    )
    made = Sweep.start(Path(runs), trainings, brought)
    made.advance(watch)
    return made


def resume_sweep(
    folder: Path | str,
    *,
    plugins: Iterable[Any] = (),
    plugin_files: Iterable[Path | str] = (),
    watch: Watch | None = None,
) -> Sweep:
    """Go on with a sweep that was interrupted or killed; failed trainings are tried again."""
    _refuse_several_processes()
    found = Sweep.open(Path(folder), plugin_lists(plugins, plugin_files))
    found.advance(watch)
    return found


def is_sweep(folder: Path) -> bool:
    """Whether a folder says that it is one."""
    try:
        found = json.loads((folder / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and found.get("format") == FORMAT


def _refuse_several_processes() -> None:
    if processes_launched() > 1:
        raise UsageError(
            "a sweep trains one run after another in one process; launch its trainings one by one instead."
        )


class Sweep:
    """Trainings, and the run of each that has begun. Its folder is `RUNS/sweeps/NAME/NUMBER`."""

    def __init__(self, path: Path, trainings: Sequence[Training], brought: PluginLists) -> None:
        self.path = path
        self.trainings = tuple(trainings)
        self._brought = brought

    @classmethod
    def start(cls, runs: Path, trainings: Sequence[Training], brought: PluginLists) -> Sweep:
        """Write down what is to be trained."""
        path = RunFolder.create(runs / "sweeps", trainings[0].recipe.name).path
        files = {f"{place}.yaml": to_yaml(one.recipe).encode() for place, one in enumerate(trainings)}
        facts = [{"name": one.name, "held_out": one.held_out, "run": None, "problem": ""} for one in trainings]
        meta = {"trainings": facts, "started": now()}
        save_bundle(path, files, meta, format_name=FORMAT, version=VERSION, fixed_names=True)
        return cls(path, trainings, brought)

    @classmethod
    def open(cls, path: Path, brought: PluginLists) -> Sweep:
        """A sweep as its folder has it; the recipes as they were when it began."""
        bundle = read_bundle(path, format_name=FORMAT, version=VERSION)
        registries = load_registries(*brought.plugins, files=brought.plugin_files)
        trainings = []
        for place, facts in enumerate(bundle.meta["trainings"]):
            name = f"{place}.yaml"
            recipe = parse_recipe(bundle.files[name].decode(), registries, name=str(path / name), settled=True)
            trainings.append(Training(facts["name"], recipe, facts["held_out"]))
        return cls(path, trainings, brought)

    @property
    def facts(self) -> list[dict[str, Any]]:
        """Of each training: its run's folder under the folder of all runs (or nothing), and why it failed."""
        found: list[dict[str, Any]] = self._manifest()["meta"]["trainings"]
        return found

    @property
    def runs(self) -> Path:
        """The folder of all runs."""
        return self.path.parents[2]

    def advance(self, watch: Watch | None = None) -> None:
        """Train and evaluate whatever is not finished."""
        with RunFolder(self.path).owned(), watching(watch) as eyes:
            for place, training in enumerate(self.trainings):
                eyes.message(f"{place + 1} of {len(self.trainings)}: {training}")
                try:
                    self._finish(place, training, eyes)
                except (WorkFailed, DataError) as error:
                    if self._was_interrupted(place):
                        raise self._interrupted() from error
                    self._record(place, problem=str(error))
                    eyes.message(f"failed: {error}")
                except KeyboardInterrupt:
                    raise self._interrupted() from None

    def results(self) -> dict[int, Repeated]:
        """The figures of every finished training, by its place."""
        found = {}
        for place, training in enumerate(self.trainings):
            run = self._finished_run(place)
            if run is not None and run.evaluations:
                settings = {"recipe": training.name, "seed": training.recipe.seed, "held_out": training.held_out}
                found[place] = Repeated(settings, run.path, run.facts["steps"], run.evaluations["figures"])
        return found

    def finished(self) -> list[Run]:
        """The run of every training that is finished."""
        found = [self._finished_run(place) for place in range(len(self.trainings))]
        return [run for run in found if run is not None]

    def _finish(self, place: int, training: Training, watch: Watch) -> None:
        run = self._finished_run(place) or self._train(place, training, watch)
        if not run.evaluations:
            evaluate(run, watch=watch)
        if self.facts[place]["problem"]:
            self._record(place, problem="")

    def _train(self, place: int, training: Training, watch: Watch) -> Run:
        begun = self._folder(place)
        if begun is not None and begun.path.is_dir():
            return resume_run(begun.path, watch=watch, **self._brought.given)

        def note(path: Path) -> None:
            self._record(place, run=path.relative_to(self.runs).as_posix())

        return train(training.recipe, runs=self.runs, watch=watch, begun=note, **self._brought.given)

    def _folder(self, place: int) -> RunFolder | None:
        """The training's run folder, where it has begun."""
        run = self.facts[place]["run"]
        return None if run is None else RunFolder(self.runs / run)

    def _state(self, place: int) -> str:
        folder = self._folder(place)
        if folder is None or not folder.path.is_dir():
            return "not begun"
        return str(folder.read().meta["state"])

    def _finished_run(self, place: int) -> Run | None:
        folder = self._folder(place)
        if folder is None or self._state(place) != "finished":
            return None
        return load_run(folder.path, **self._brought.given)

    def _was_interrupted(self, place: int) -> bool:
        try:
            return self._state(place) == "interrupted"
        except NearkinError:
            return False

    def _interrupted(self) -> WorkFailed:
        done = len(self.results())
        return WorkFailed(
            f"interrupted; {done} of {len(self.trainings)} trainings are finished, and nothing of them is lost. "
            f"Continue with 'nearkin train --resume {self.path}'."
        )

    def _manifest(self) -> Mapping[str, Any]:
        return read_manifest(self.path, format_name=FORMAT, version=VERSION)

    def _record(self, place: int, **facts: str) -> None:
        """Change what is known of one training, in one rename."""
        body = self._manifest()
        trainings = list(body["meta"]["trainings"])
        trainings[place] = {**trainings[place], **facts}
        write_manifest(self.path, {**body, "meta": {**body["meta"], "trainings": trainings}})
