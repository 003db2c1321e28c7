"""How the evaluators come into the registry."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from pydantic import ValidationError

from nearkin.components.evaluators import register_evaluators
from nearkin.components.evaluators.options import (
    NWayExamOptions,
    ResampledOptions,
    RetrievalOptions,
    VerificationOptions,
)
from nearkin.contracts import Build


def registered():
    found = {}
    register_evaluators(lambda name, factory, *, summary, options: found.update({name: (factory, options, summary)}))
    return found


def test_the_evaluators_are_registered_and_made():
    found = registered()
    assert {"n_way_exam", "episodes", "clusters", "open_set", "retrieval", "verification"} <= set(found)
    for factory, options, summary in found.values():
        assert hasattr(factory(options(), Build(seed=0)), "evaluate")
        assert summary.endswith(".")


@pytest.mark.parametrize("bad", [{"n_way": 1}, {"questions": 0}, {"resamples": 1}, {"ways": 20}, {"n_way": "20"}])
def test_options_that_cannot_be_meant_are_refused(bad):
    with pytest.raises(ValidationError):
        NWayExamOptions(**bad)


@pytest.mark.parametrize(
    ("options", "said", "twice"),
    [
        (VerificationOptions, {"far": [0.1, 0.01, 0.1]}, "0.1"),
        (VerificationOptions, {"far": [0.1, 0.10000001]}, "0.1"),
        (RetrievalOptions, {"recall_at": [5, 5]}, "5"),
    ],
)
def test_what_two_figures_would_be_named_after_is_refused_before_any_training(options, said, twice):
    with pytest.raises(ValidationError, match=f"{twice} is listed twice"):
        options.model_validate_json(json.dumps(said))


def test_defaults_are_the_projects():
    assert (NWayExamOptions().n_way, NWayExamOptions().questions, ResampledOptions().resamples) == (20, 1000, 200)


def test_listing_them_loads_nothing_heavy():
    code = (
        "import sys, nearkin.components.evaluators; print([m for m in ('numpy', 'scipy', 'torch') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_every_figure_is_plain_json(make_view, fake_index):
    index = fake_index([[0.0], [10.0]], ["a", "b"], {"a": [1.0] * 20, "b": [1.0] * 20})
    view = make_view([0, 1, 10, 11, 30], list("aabb?"), index=index)
    for factory, options, _ in registered().values():
        chosen = options(n_way=2) if options is NWayExamOptions else options()
        for figure in factory(chosen, Build(seed=0)).evaluate(view):
            text = json.dumps([figure.value, figure.low, figure.high, figure.n, figure.details, figure.replicates])
            assert json.loads(text)
