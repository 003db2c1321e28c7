"""One recipe, trained and evaluated under several settings: other seeds, other classes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nearkin.arguments import several
from nearkin.evaluation import evaluate
from nearkin.experiments.cross_conformal import train
from nearkin.training.watch import Watch


@dataclass(frozen=True)
class Repeated:
    """One of the trainings, with all its figures."""

    settings: Mapping[str, object]
    run: Path
    steps: int
    figures: Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]]

    def figure(self, name: str, view: str = "model") -> Mapping[str, Any]:
        """The figure of that name, or of `evaluator/name`, in that view; `KeyError` names what there is."""
        of_view = [(evaluator, one) for evaluator, views in self.figures.items() for one in views.get(view, ())]
        found = [one for evaluator, one in of_view if name in (one["name"], f"{evaluator}/{one['name']}")]
        if not found:
            raise KeyError(
                f"no figure {name!r} in view {view!r}; there are {sorted(one['name'] for _, one in of_view)}"
            )
        if len(found) > 1:
            full = sorted(f"{evaluator}/{name}" for evaluator, one in of_view if one["name"] == name)
            raise KeyError(f"figure {name!r} is of several evaluators: name one of {full}")
        return found[0]


def repeat(
    recipe: Path | str,
    settings: Iterable[Mapping[str, object]],
    *,
    runs: Path | str = "runs",
    plugins: Iterable[Any] = (),
    message: Callable[[str], None] = lambda _: None,
) -> list[Repeated]:
    """Train and evaluate the recipe once a setting (overrides of it), in order."""
    plugins = several(plugins, "plugins")
    done = []
    for number, overrides in enumerate(settings, start=1):
        run = train(recipe, overrides=overrides, runs=runs, plugins=plugins, watch=Watch())
        result = evaluate(run, plugins=plugins, watch=Watch())
        done.append(Repeated(dict(overrides), run.path, run.facts["steps"], result["figures"]))
        message(f"{number}: {dict(overrides)} -> {run.path}")
    return done
