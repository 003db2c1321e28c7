"""The section `unknown`, and the k by which the first recipes said its score."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nearkin.recipe import Recipe, to_yaml

Parse = Callable[..., Recipe]
Told = Callable[..., list[str]]


def section(good: str, text: str) -> str:
    return good.replace("index: {alpha: .1}", text)


def test_the_default_score_is_the_nearest_reference(parse: Parse) -> None:
    recipe = parse()
    assert (recipe.score.type, recipe.score.options.model_dump()) == ("knn", {"k": 1})
    assert recipe.unknown.way == "held_out"


def test_a_score_and_a_way_are_read_and_written(parse: Parse, good: str) -> None:
    recipe = parse(section(good, "unknown: {score: {type: knn, k: 3}, way: held_out}"))
    assert recipe.score.options.model_dump() == {"k": 3}
    assert recipe.unknown.way == "held_out"
    assert parse(to_yaml(recipe)) == recipe


def test_the_k_of_the_first_recipes_is_the_scores(parse: Parse, good: str) -> None:
    recipe = parse(section(good, "index: {alpha: .1, k: 4}"))
    assert recipe.score.options.model_dump() == {"k": 4}
    assert recipe.index.k is None
    assert "k: 4" in to_yaml(recipe).partition("unknown:")[2]
    assert parse(to_yaml(recipe)) == recipe


def test_operating_points_are_read(parse: Parse, good: str) -> None:
    recipe = parse(section(good, "index: {operating_points: {triage: 0.10, screening: 0.05}}"))
    assert recipe.index.operating_points == {"triage": 0.10, "screening": 0.05}
    assert parse(to_yaml(recipe)) == recipe


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("unknown: {score: {type: kn}}", "r.yaml:14:25 unknown.score.type: unknown score 'kn'. Did you mean 'knn'?"),
        ("unknown: {score: {type: knn, k: 0}}", "r.yaml:14:33 unknown.score.k: must be at least 1, not 0."),
        ("unknown: {score: knn}", "r.yaml:14:18 unknown.score: wants a section that names a score"),
        ("unknown: knn", "r.yaml:14:10 unknown: wants a section (key: value), not the text 'knn'."),
        ("unknown: {way: held}", "r.yaml:14:16 unknown.way: wants 'held_out', 'leave_one_group_out' or"),
        ("unknown: {scor: 1}", "r.yaml:14:11 unknown.scor: unknown key. Did you mean 'score'?"),
        ("index: {k: 0}", "r.yaml:14:12 index.k: must be at least 1, not 0."),
        ("index: {operating_points: {triage: 2}}", "r.yaml:14:36 index.operating_points.triage: must be less than 1"),
    ],
)
def test_what_is_wrong_is_told_at_its_place(told: Told, good: str, text: str, problem: str) -> None:
    (found,) = told(section(good, text))
    assert found.startswith(problem)


def test_a_score_said_twice_is_refused(told: Told, good: str) -> None:
    (problem,) = told(section(good, "index: {k: 2}\nunknown: {score: {type: prototype}}"))
    assert problem == "r.yaml:14:9 index.k: unknown.score says it already. Delete this key."


SPACE = "unknown: {space: SPACE}"
FEATURES = "{type: features, stages: [1, 3], weights: pretrained, metric: l1, standardize: false}"
JOINED = "{type: joined, spaces: [{type: embedding}, {type: features, stages: [2]}]}"


@pytest.mark.parametrize("space", ["{type: embedding}", FEATURES, JOINED])
def test_a_space_is_read_and_written(parse: Parse, good: str, space: str) -> None:
    recipe = parse(section(good, SPACE.replace("SPACE", space)))
    assert parse(to_yaml(recipe)) == recipe


@pytest.mark.parametrize(
    ("space", "problem"),
    [
        ("features", "wants a section (key: value), not the text 'features'. Write {type: features}."),
        ("{type: feature, stages: [1]}", "Did you mean 'features'?"),
        ("{type: features}", "unknown.space.stages: missing"),
        ("{type: features, stages: []}", "needs at least 1 entries, not 0."),
        ("{type: features, stages: [2, 1]}", "stages are named once each, in order, as in [2, 3, 4]"),
        ("{type: features, stages: [0]}", "must be at least 1, not 0."),
        ("{type: features, stages: [1], weights: first}", "wants 'initial', 'pretrained' or 'trained'"),
        ("{type: joined, spaces: [{type: embedding}]}", "needs at least 2 entries, not 1."),
        ("{type: joined, spaces: [{type: joined}, {type: embedding}]}", "no space"),
    ],
)
def test_a_space_that_cannot_be_is_told(good: str, told: Told, space: str, problem: str) -> None:
    assert any(problem in line for line in told(section(good, SPACE.replace("SPACE", space)))), told(
        section(good, SPACE.replace("SPACE", space))
    )
