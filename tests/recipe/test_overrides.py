"""Overrides change what the file says, and are named where they are wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nearkin.recipe import Recipe, resolved

Parse = Callable[..., Recipe]
Told = Callable[..., list[str]]


@pytest.mark.parametrize(
    ("overrides", "path", "value"),
    [
        (["seed=0x10"], ("seed",), 16),
        (["train.optimizer.lr=1e-2"], ("train", "optimizer", "lr"), 0.01),
        (["train.clip_norm=1"], ("train", "clip_norm"), 1.0),
        (["train.augment.degrees=10"], ("train", "augment", "degrees"), 10.0),
        (['data.known=["3","5"]'], ("data", "known"), ["3", "5"]),
        (["train.optimizer={type: sgd, lr: 0.1}"], ("train", "optimizer", "type"), "sgd"),
        (["evaluate.0.n_way=30"], ("evaluate", 0, "n_way"), 30),
        (["evaluate.1={type: exam, n_way: 5}"], ("evaluate", 1, "n_way"), 5),
        (["evaluate=[]"], ("evaluate",), []),
        (["train={steps: 5}", "train.steps=6"], ("train", "steps"), 6),
        (["backbone.title=a=b"], ("backbone", "title"), "a=b"),
        (["backbone.title='x #y'"], ("backbone", "title"), "x #y"),
        (["backbone.title=  spaced  "], ("backbone", "title"), "spaced"),
        (["backbone.title=no"], ("backbone", "title"), "no"),
        (["train.early_stopping=null"], ("train", "early_stopping"), None),
        ("seed=7", ("seed",), 7),
        ({"seed": 7}, ("seed",), 7),
        ({"data.known": ("3", "5")}, ("data", "known"), ["3", "5"]),
        ({"backbone.title": Path("a") / "b"}, ("backbone", "title"), str(Path("a") / "b")),
        ({"train": {"epochs": 5}}, ("train", "epochs"), 5),
        ({"index.k": 2, "evaluate.0.n_way": 4}, ("evaluate", 0, "n_way"), 4),
    ],
)
def test_an_override_replaces_or_adds_one_value(
    parse: Parse, overrides: object, path: tuple[str | int, ...], value: object
) -> None:
    found: object = resolved(parse(overrides=overrides))
    for part in path:
        found = found[part]  # type: ignore[index]  # plain data, any of its containers
    assert found == value
    assert type(found) is type(value)


def test_what_is_wrong_with_an_override_names_it_and_leaves_the_file_as_it_is(told: Told) -> None:
    overrides = [
        "train.stepz=5",
        "train.steps=0",
        "a..b=1",
        "=5",
        "x",
        "data.path=",
        "index={alpha: [}",
        "index.k=2 # two",
        "evaluate.7.n_way=30",
        "evaluate.x=30",
        "name.first=a",
        "backbone.title=*x",
        "sampler={type: balanced_pairs, piars: 2}",
    ]
    assert told(overrides=overrides) == [
        "override 'train.stepz=5' train.stepz: unknown key. Did you mean 'steps'?",
        "override 'train.steps=0' train.steps: must be at least 1, not 0.",
        "override 'a..b=1' a..b: an override is key=value, nested keys joined by dots: train.epochs=5.",
        "override '=5' an override is key=value, nested keys joined by dots: train.epochs=5.",
        "override 'x' x: no value. Write key=value; null for none, '\"\"' for empty text.",
        "override 'data.path=' data.path: no value. Write key=value; null for none, '\"\"' for empty text.",
        "override 'index={alpha: [}' index: a value is missing here.",
        "override 'index.k=2 # two' index.k: '# two' would be read as a comment: put the value in quotes.",
        "override 'evaluate.7.n_way=30' evaluate.7.n_way: 'evaluate' is a list and has the positions 0 to 1; "
        "'7' is none of them.",
        "override 'evaluate.x=30' evaluate.x: 'evaluate' is a list and has the positions 0 to 1; 'x' is none of them.",
        "override 'name.first=a' name.first: 'name' is 'small', which has no keys inside.",
        "override 'backbone.title=*x' backbone.title: recipes take no aliases: write the value out instead of '*x'.",
        "override 'sampler={type: balanced_pairs, piars: 2}' sampler.piars: unknown key. Did you mean 'pairs'?",
    ]


def test_problems_of_the_file_come_before_those_of_overrides(told: Told, good: str) -> None:
    lines = told(good.replace("alpha: .1", "alpha: 7"), ["seed=x"])
    assert [line.split(maxsplit=1)[0] for line in lines] == ["r.yaml:14:16", "override"]


def test_steps_given_beside_the_files_epochs_are_one_too_many(told: Told, good: str) -> None:
    lines = told(good.replace("steps: 400", "epochs: 4"), ["train.steps=5"])
    assert lines == ["r.yaml:11:1 train: give exactly one of steps and epochs"]


def test_an_override_that_undoes_an_earlier_one_is_refused(told: Told) -> None:
    assert told(overrides=["seed=1", "seed=2"]) == [
        "override 'seed=2' seed: it undoes the override of 'seed'. Give one of them."
    ]
    assert told(overrides={"train.steps": 5, "train": {"epochs": 1}}) == [
        "override 'train' train: it undoes the override of 'train.steps'. Give one of them."
    ]


def test_what_python_gives_and_a_recipe_cannot_hold_is_told(told: Told) -> None:
    deep: list[object] = []
    for _ in range(30):
        deep = [deep]
    overrides = {"seed": object(), "index.alpha": float("nan"), "backbone.title": deep, "train.augment": {1: 2}}
    lines = told(overrides=overrides)
    assert lines[0] == "override 'seed' seed: a recipe cannot hold a Python object. Give numbers, text, lists or dicts."
    assert lines[1] == "override 'index.alpha' index.alpha: must be a finite number, not nan."
    assert lines[2].endswith("nested deeper than 20 levels.")
    assert lines[3] == "override 'train.augment' train.augment: keys are text that can be written as UTF-8, not 1."


def test_a_value_that_an_override_replaces_is_not_blamed(parse: Parse, good: str) -> None:
    assert parse(good.replace("steps: 400", "steps: zero"), ["train.steps=5"]).train.steps == 5
    assert parse(good.replace("{alpha: .1}", "{alpha: .1, zzz: 1}"), ["index={k: 2}"]).score.options.model_dump() == {
        "k": 2
    }


def test_what_is_given_stays_the_callers(parse: Any) -> None:
    """A later override that reaches into an earlier one's value changes the recipe alone."""
    optimizer = {"type": "sgd", "lr": 0.1}
    found = parse(overrides={"train.optimizer": optimizer, "train.optimizer.lr": 0.9})
    assert (found.train.optimizer.lr, optimizer) == (0.9, {"type": "sgd", "lr": 0.1})
