"""Where the outlier score should look: spaces and scores tried on known classes, each left out of training in turn.

Nothing of the test split is read. The class that is left out is unknown to that training; its train and select images
are asked about beside the select images of the others.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nearkin.arguments import several
from nearkin.blueprint import Blueprint
from nearkin.contracts import Figure
from nearkin.errors import DataError, UsageError
from nearkin.evaluation.differences import as_json
from nearkin.experiments.left_out import EMBEDDING, FIGURE, Candidate, LeftOut
from nearkin.experiments.plan import classes_to_leave_out
from nearkin.experiments.tables import mean_json
from nearkin.model import build_model
from nearkin.plugins import load_registries
from nearkin.recipe import Recipe, read_recipe
from nearkin.recipe.shipped import find_recipe
from nearkin.recipe.space import JoinedSpace
from nearkin.recipe.write import resolved
from nearkin.registry import Registries
from nearkin.run import RunFolder
from nearkin.training.warm_start import WarmStart
from nearkin.training.watch import Watch, watching
from nearkin.training.work import Work

Said = Mapping[str, Any] | str
"""As a recipe writes it, as text or as plain data."""


def choose_space(
    recipe: Path | str,
    *,
    spaces: Sequence[Said] = (),
    scores: Sequence[Said] = (),
    overrides: Sequence[str] = (),
    plugins: Iterable[Any] = (),
    plugin_files: Iterable[Path | str] = (),
    watch: Watch | None = None,
) -> dict[str, Any]:
    """Try every space with every score beside what the recipe says, and tell which line finds an unknown class best.

    Trains once a known class, without it. Left out, `spaces` are the embedding, the later half of the backbone's stages
    before and after training, and both joined; `scores` are the recipe's own and `mahalanobis`. Returns plain JSON:
    {"candidates": [{"said", "line", "mean", "minus_first", "classes": {label: figure}}, ...], "best": place, ...}; the
    first candidate is the recipe as it is.
    """
    registries = load_registries(*several(plugins, "plugins"), files=plugin_files)
    own = read_recipe(find_recipe(str(recipe)), registries, overrides)
    classes = _askable_classes(own)
    asked = _candidates(recipe, own, registries, [*overrides], spaces, scores)
    with watching(watch) as eyes:
        by_class = {label: _without(label, own, asked, registries, eyes) for label in classes}
    return _table(own, asked, by_class)


def _askable_classes(recipe: Recipe) -> tuple[str, ...]:
    """The known classes. `UsageError` where none can be left out."""
    classes = classes_to_leave_out(recipe)
    if recipe.data.select_classes or not recipe.data.select:
        raise UsageError(
            f"{recipe.name}: known images to ask about are those of data.select, and it has none of the known classes."
        )
    return classes


def _candidates(
    path: Path | str,
    own: Recipe,
    registries: Registries,
    overrides: list[str],
    spaces: Sequence[Said],
    scores: Sequence[Said],
) -> list[Candidate]:
    """The recipe's own first, then every other pair once."""
    tried = [_text(space) for space in spaces] or _usual_spaces(own, registries)
    by = [_text(score) for score in scores] or [_text(resolved(own)["unknown"]["score"]), "{type: mahalanobis}"]
    pairs = [[f"unknown.score={score}", f"unknown.space={space}"] for space in tried for score in by]
    read = [read_recipe(find_recipe(str(path)), registries, [*overrides, *pair]) for pair in pairs]
    found = [own]
    for recipe in read:
        if all((recipe.score, recipe.unknown) != (other.score, other.unknown) for other in found):
            found.append(recipe)
    return [Candidate(recipe) for recipe in found]


def _text(said: Said) -> str:
    return said if isinstance(said, str) else json.dumps(said)


def _usual_spaces(recipe: Recipe, registries: Registries) -> list[str]:
    """The embedding, the later half of the stages, and both."""
    plain = replace(recipe, unknown=recipe.unknown.model_copy(update={"space": EMBEDDING}))
    stages = len(getattr(build_model(Blueprint.of(plain, ("a", "b")), registries).backbone, "stages", ()))
    later = f"type: features, stages: {list(range(stages // 2 + 1, stages + 1))}"
    features = [f"{{{later}, weights: {weights}}}" for weights in ("initial", "trained")] if stages else []
    joined = [f"{{type: joined, spaces: [{{type: embedding}}, {one}]}}" for one in features[:1]]
    return ["{type: embedding}", *features, *joined]


# ------------------------------------------------------------------------------------------ one class left out


def _without(
    label: str, recipe: Recipe, candidates: Sequence[Candidate], registries: Registries, watch: Watch
) -> list[Figure]:
    """Each candidate's figure for this class as the unknown, from one training that gives all their spaces."""
    watch.message(f"training without {label!r}")
    features = tuple(dict.fromkeys(part for one in candidates for part in one.parts if part != EMBEDDING))
    space = JoinedSpace(type="joined", spaces=(EMBEDDING, *features)) if features else EMBEDDING
    unknown = recipe.unknown.model_copy(update={"space": space, "way": "held_out", "folds": None})
    work = Work.prepare(replace(recipe, unknown=unknown), registries, watch, without=label)
    _refuse_seen(work, label)
    with tempfile.TemporaryDirectory(prefix="nearkin-") as folder:
        run = RunFolder.create(Path(folder), recipe.name)
        run.start(work.recipe, work.facts())
        work.run(run)
    left_out = LeftOut.of(work)
    return [left_out.figure(candidate) for candidate in candidates]


def _refuse_seen(work: Work, label: str) -> None:
    """A base that knows the class would leave nothing out."""
    for run, seen in WarmStart.of(work.recipe).seen(work.dataset.items["test"], work.store).items():
        raise DataError(
            f"backbone.init_from: {run} was trained on {len(seen)} images of {label!r}, so it cannot be left out "
            "here. Begin with a base that trained on none of the known classes."
        )


# ------------------------------------------------------------------------------------------------- the table


def _table(recipe: Recipe, candidates: Sequence[Candidate], by_class: Mapping[str, list[Figure]]) -> dict[str, Any]:
    rows = [_row(place, candidate, by_class) for place, candidate in enumerate(candidates)]
    return {
        "recipe": recipe.name,
        "seed": recipe.seed,
        "figure": FIGURE,
        "candidates": rows,
        "best": max(range(len(rows)), key=lambda place: rows[place]["mean"]["value"]),
    }


def _row(place: int, candidate: Candidate, by_class: Mapping[str, list[Figure]]) -> dict[str, Any]:
    """Means with Student's t over classes; the difference to the recipe's own, class by class."""
    own = {label: figures[place] for label, figures in by_class.items()}
    minus: dict[Hashable, float | None] = {
        label: _value(figure) - _value(by_class[label][0]) for label, figure in own.items()
    }
    return {
        "said": candidate.said,
        "line": candidate.line,
        "mean": mean_json({label: _value(figure) for label, figure in own.items()}),
        "minus_first": mean_json(minus) if place else None,
        "classes": {label: as_json(figure) for label, figure in own.items()},
    }


def _value(figure: Figure) -> float:
    assert figure.value is not None, "there are images of both kinds"
    return figure.value
