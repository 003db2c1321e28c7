"""A recipe is read whole, or every problem in it is told at once, each with its place and its mend."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nearkin.errors import Problem, RecipeError
from nearkin.recipe import Recipe, parse_recipe, read_recipe
from nearkin.recipe.model import IndexOptions
from nearkin.registry import Registries

Parse = Callable[..., Recipe]
Told = Callable[..., list[str]]


def test_a_good_recipe_is_read_with_every_default_filled_in(parse: Parse) -> None:
    recipe = parse()
    assert (recipe.name, recipe.seed) == ("small", 3)
    assert recipe.data.known == ("3", "007", "no")
    assert recipe.data.unknown == "rest"
    assert recipe.backbones[0].selection.type == "conv4"
    assert recipe.backbones[0].selection.options.model_dump()["width"] == 32
    assert recipe.backbones[0].selection.options.model_dump()["size"] == (28, 28)
    assert recipe.train.optimizer.lr == 0.001
    assert recipe.loss is None
    assert [one.type for one in recipe.evaluate] == ["exam", "clusters"]


def test_seed_index_and_evaluate_may_be_left_out(parse: Parse, good: str) -> None:
    short = good.replace("seed: 3\n", "").partition("index:")[0]
    recipe = parse(short)
    assert (recipe.seed, recipe.index, recipe.evaluate) == (0, IndexOptions(), ())


BAD = """\
name: my run
seed: 1.0
seed: 2
data:
  source: digit
  known: [007, 5, no, 1e-3]
  unknown: rset
  shots: "10"
  shoots: 3
backbone: {type: conv4, wdith: 3, channels: 2, size: [28, 28, 28], dropout: 2, title: true}
method: twins
sampler: {type: balanced_pairs, pairs: 31}
loss: {type: tripelt}
train:
  steps: 400.0
  optimizer: {type: sgdd, lr: -1, foo:1}
  schedule: [cosine]
  early_stopping: none
  augment: {degrees: .inf}
  device: &a cpu
index: *a
evaluate:
  - {type: exam, n_way: 9999999999999999999999.5}
  - clusters
  - {n_way: 3}
  - {type: exam}
evalaute: 3
"""

TOLD = """\
r.yaml:1:7 name: 'my run' cannot name a folder here. Use letters (a-z), digits, '.', '_' and '-', \
a letter or digit first.
r.yaml:2:7 seed: wants a whole number, not the number 1.0. Write 1.
r.yaml:3:1 seed: the key 'seed' is repeated; it first stands at r.yaml:2:1. Delete one of them.
r.yaml:5:11 data.source: wants 'digits', 'folder', 'manifest' or 'npz', not the text 'digit'. Did you mean 'digits'?
r.yaml:6:11 data.known.0: labels are text, exactly as written: write "007" in quotes.
r.yaml:6:16 data.known.1: labels are text, exactly as written: write "5" in quotes.
r.yaml:6:23 data.known.3: labels are text, exactly as written: write "1e-3" in quotes.
r.yaml:7:12 data.unknown: wants 'rest' or a list, not the text 'rset'. Did you mean 'rest'?
r.yaml:8:10 data.shots: wants a whole number or 'all', not the text '10'. Write it without quotes.
r.yaml:9:3 data.shoots: unknown key. Did you mean 'shots'?
r.yaml:10:25 backbone.wdith: unknown key. Did you mean 'width'?
r.yaml:10:45 backbone.channels: wants 1 or 3, not the number 2.
r.yaml:10:54 backbone.size: takes at most 2 entries, not 3.
r.yaml:10:77 backbone.dropout: must be less than 1 (or 'auto'), not 2.
r.yaml:10:87 backbone.title: wants text, not true: write "true" in quotes.
r.yaml:11:9 method: wants a section that names a method, not the text 'twins'. Write {type: twins}.
r.yaml:12:40 sampler.pairs: pairs must be even
r.yaml:13:14 loss.type: unknown loss 'tripelt'. Did you mean 'triplet_margin'? 'nearkin components losses' lists all.
r.yaml:15:10 train.steps: wants a whole number or null, not the number 400.0. Write 400.
r.yaml:16:21 train.optimizer.type: wants 'adam', 'adamw' or 'sgd', not the text 'sgdd'. Did you mean 'sgd'?
r.yaml:16:31 train.optimizer.lr: must be greater than 0, not -1.
r.yaml:16:35 train.optimizer.foo:1: unknown key. Put a space after the ':' of 'foo:1'.
r.yaml:17:13 train.schedule: wants a section (key: value), not a list.
r.yaml:18:19 train.early_stopping: wants a section (key: value) or null, not the text 'none'.
r.yaml:19:22 train.augment.degrees: must be a finite number, not inf.
r.yaml:20:11 train.device: recipes take no anchors: delete '&a'.
r.yaml:21:8 index: recipes take no aliases: write the value out instead of '*a'.
r.yaml:23:25 evaluate.0.n_way: wants a whole number, not the number 1e+22. Write 10000000000000000000000.
r.yaml:24:5 evaluate.1: wants a section that names an evaluator, not the text 'clusters'. Write {type: clusters}.
r.yaml:25:5 evaluate.2.type: missing: name an evaluator, as in {type: clusters}. There are clusters, exam.
r.yaml:26:5 evaluate.3.n_way: missing, and it has no default.
r.yaml:27:1 evalaute: unknown key. Did you mean 'evaluate'?"""


def test_everything_wrong_is_told_at_once_in_the_order_of_the_file(told: Told) -> None:
    assert "\n".join(told(BAD)) == TOLD


def test_a_bad_recipe_ends_the_command_line_with_2(parse: Parse) -> None:
    with pytest.raises(RecipeError) as caught:
        parse(BAD)
    assert caught.value.exit_code == 2


def test_every_part_that_is_missing_is_told(told: Told) -> None:
    assert told("data: {}\n") == [
        "r.yaml:1:1 backbone: missing: name a backbone, as in backbone: {type: conv2}. There are conv2, conv4.",
        "r.yaml:1:1 data.source: missing, and it has no default.",
        "r.yaml:1:1 method: missing: name a method, as in method: {type: embedding}. There are embedding, twins.",
        "r.yaml:1:1 name: missing, and it has no default.",
        "r.yaml:1:1 sampler: missing: name a sampler, as in sampler: {type: balanced_pairs}. "
        "There are balanced_pairs, m_per_class.",
        "r.yaml:1:1 train: missing: a recipe needs this section, as in train: {steps: 400}.",
    ]


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        ("  steps: 400\n", "", "r.yaml:11:1 train: give exactly one of steps and epochs"),
        (
            "type: adam, lr",
            "type: adam, momentum: 0.5, lr",
            "r.yaml:13:3 train.optimizer: momentum is for sgd alone, and type is adam: take type: sgd, or delete",
        ),
        ("steps: 400", "steps: 0", "r.yaml:12:10 train.steps: must be at least 1, not 0."),
        ("source: digits", "source: folder", "r.yaml:4:1 data: source 'folder' needs a path"),
        ("seed: 3", "seed: -1", "r.yaml:3:7 seed: must be at least 0, not -1."),
        (
            "seed: 3",
            "seed: 1" + "0" * 30,
            "r.yaml:3:7 seed: must be less than 9223372036854775808, not 1" + "0" * 30 + ".",
        ),
        ("seed: 3", "seed: true", "r.yaml:3:7 seed: wants a whole number, not true."),
        ("seed: 3", "seed: 1" + "0" * 400, "r.yaml:3:7 seed: a number of 1329 bits cannot be meant."),
        ("seed: 3", "seed: 1e999", "r.yaml:3:7 seed: must be a finite number, not inf."),
        ("name: small", "name: ../up", "'../up' cannot name a folder here."),
        ("name: small", "name: 12", 'r.yaml:2:7 name: wants text, not the number 12: write "12" in quotes.'),
        ("name: small", "name:", "r.yaml:2:6 name: wants text, and there is none."),
        ("name: small", "name: " + "x" * 101, "takes at most 100 characters, not 101."),
        ("name: small", 'name: "\\ud800"', "r.yaml:2:7 name: holds half a character (U+D800): write the whole"),
        ('["3", "007", "no"]', '["3", "3", "no"]', "r.yaml:6:16 data.known.1: the label '3' is listed twice."),
        ('["3", "007", "no"]', '["3"]', "r.yaml:6:10 data.known: needs at least 2 classes, or a pattern"),
        ('["3", "007", "no"]', '"3"', "data.known: wants a list or null, not the text '3'. A list is written [a, b]."),
        ("unknown: rest", 'unknown: [x, "007"]', "r.yaml:7:16 data.unknown.1: the label '007' is in 'known' too."),
        (
            "unknown: rest",
            "unknown: [x, 7]",
            'data.unknown.1: labels are text, exactly as written: write "7" in quotes.',
        ),
        ("index: {alpha: .1}", "index:", "r.yaml:14:7 index: wants a section (key: value), not null."),
        ("index: {alpha: .1}", "index: {alpha: 1}", "r.yaml:14:16 index.alpha: must be less than 1, not 1."),
        ("index: {alpha: .1}", "index: {aplha: 0.1}", "r.yaml:14:9 index.aplha: unknown key. Did you mean 'alpha'?"),
        ("index: {alpha: .1}", "index: {zzz: 1}", "r.yaml:14:9 index.zzz: unknown key. The keys here are"),
        ("index: {alpha: .1}", "index: {engin: flat}", "r.yaml:14:9 index.engin: unknown key. Did you mean 'engine'?"),
        (
            "index: {alpha: .1}",
            'index: {operating_points: {triage: 0.1, "0.2": 0.1}}',
            "r.yaml:14:41 index.operating_points.0.2: a number is read as an alpha itself, so it names none.",
        ),
        ("{type: conv4, width: 32}", "{init_form: x}", "backbone.init_form: unknown key. Did you mean 'init_from'?"),
        (
            "{type: conv4, width: 32}",
            "{type: conv4, init_form: x}",
            "backbone.init_form: unknown key. Did you mean 'init_from'?",
        ),
        ("index: {alpha: .1}", "embed: {views: 3, warp: {}}", "r.yaml:14:19 embed.warp: changes nothing, so all views"),
        ("unknown: rest", "extra_classes: {}", "r.yaml:7:3 data.extra_classes: makes none."),
        (
            "unknown: rest",
            "extra_classes: {rotations: [90, 90]}",
            "r.yaml:7:30 data.extra_classes.rotations: names a turn twice",
        ),
        ("unknown: rest", "group: x", "group is for source 'folder'; of 'digits' there are none"),
        ("  - type: clusters", "  - type: clusters\n    x: 1", "evaluate.1.x: unknown key. It takes no keys here."),
        ("{type: conv4, width: 32}", "{type: 3}", 'backbone.type: wants text, not the number 3: write "3" in quotes.'),
        ("{type: conv4, width: 32}", "{type: [a]}", "backbone.type: wants the name of a backbone, not a list."),
        ("{type: conv4, width: 32}", "{type: conv4, dropout: atuo}", "wants 'auto' or a number, not the text 'atuo'."),
        ("evaluate:\n", "evaluate: {}\nx:\n", "r.yaml:15:11 evaluate: wants a list of evaluators, not a section."),
    ],
)
def test_each_mistake_is_told_in_plain_words(told: Told, good: str, was: str, now: str, said: str) -> None:
    assert was in good
    assert any(said in line for line in told(good.replace(was, now))), told(good.replace(was, now))


def test_what_follows_from_a_value_that_cannot_be_read_is_not_told(told: Told, good: str) -> None:
    assert told(good.replace("steps: 400", "steps: !!int 400")) == [
        "r.yaml:12:10 train.steps: recipes take no tags: delete '!!int'; for text, use quotes."
    ]


def test_sections_that_do_not_agree_are_told(told: Told, good: str) -> None:
    assert told(good.replace("{type: balanced_pairs, pairs: 10}", "{type: m_per_class}")) == [
        "r.yaml:10:17 sampler.type: 'm_per_class' yields labels, but the method 'twins' takes pairs. "
        "Samplers that fit it: balanced_pairs. A method that takes labels: none."
    ]
    with_loss = good.replace("{type: twins}", "{type: embedding}\nloss: {type: triplet_margin}")
    assert told(with_loss) == [
        "r.yaml:11:17 sampler.type: 'balanced_pairs' yields pairs, but the loss 'triplet_margin' takes labels or "
        "triplets. Samplers that fit it: m_per_class. A loss that takes pairs: contrastive."
    ]


def test_a_method_without_a_loss_of_its_own_needs_one(parse: Parse, told: Told, good: str) -> None:
    embedding = good.replace("{type: twins}", "{type: embedding}")
    assert told(embedding) == [
        "r.yaml:9:16 method.type: the method 'embedding' needs a loss, and the recipe names none. "
        "Add loss: {type: contrastive}. There are contrastive, triplet_margin."
    ]
    loss = parse(embedding + "loss: {type: contrastive}\n").loss
    assert loss is not None
    assert loss.type == "contrastive"


def test_a_loss_beside_a_method_that_has_its_own_is_refused(told: Told, good: str) -> None:
    assert told(good + "loss: {type: contrastive}\n") == [
        "r.yaml:18:1 loss: the method 'twins' has its own loss. Delete this section."
    ]


def test_disagreement_is_told_beside_wrong_options(told: Told, good: str) -> None:
    lines = told(good.replace("{type: balanced_pairs, pairs: 10}", "{type: m_per_class, m: 4}"))
    assert [line.split()[1] for line in lines] == ["sampler.type:", "sampler.m:"]


def check_wording(error: RecipeError) -> None:
    assert all(problem.where.startswith(("r.yaml:", "override ")) and problem.message for problem in error.problems)
    assert not any(word in str(error) for word in ("pydantic", "Input should", "validation", "http"))


@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_any_change_of_a_character_is_read_or_told_with_a_place(
    data: st.DataObject, shared_registries: Registries, good: str
) -> None:
    position = data.draw(st.integers(0, len(good) - 1))
    put = data.draw(st.text(st.sampled_from(" \n:{}[]-\"'#&*!x3.~,"), max_size=3))
    text = good[:position] + put + good[position + data.draw(st.integers(0, 4)) :]
    try:
        assert isinstance(parse_recipe(text, shared_registries, name="r.yaml"), Recipe)
    except RecipeError as error:
        check_wording(error)


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-2, 2) | st.text("ab3", max_size=2),
    lambda inside: st.lists(inside, max_size=2) | st.dictionaries(st.text("ab", max_size=2), inside, max_size=2),
    max_leaves=4,
)
KEYS = ["name", "seed", "data", "data.known", "data.unknown", "backbone", "backbone.dropout", "backbone.size", "method"]
MORE = [
    "sampler.pairs",
    "loss",
    "train",
    "train.steps",
    "train.optimizer",
    "index.alpha",
    "evaluate",
    "evaluate.0.n_way",
]


@settings(deadline=None, max_examples=150)
@given(key=st.sampled_from(KEYS + MORE), value=plain)
def test_any_value_anywhere_is_taken_or_told(key: str, value: Any, shared_registries: Registries, good: str) -> None:
    try:
        parse_recipe(good, shared_registries, name="r.yaml", overrides={key: value})
    except RecipeError as error:
        check_wording(error)


# ------------------------------------------------------------------------------------------------------- files


def only_problem(path: Path, registries: Registries) -> Problem:
    with pytest.raises(RecipeError) as caught:
        read_recipe(path, registries)
    (problem,) = caught.value.problems
    return problem


def test_a_recipe_file_is_read_and_its_path_begins_every_place(
    tmp_path: Path, registries: Registries, good: str
) -> None:
    path = tmp_path / "cxr.yaml"
    path.write_text("\ufeff" + good, encoding="utf-8")
    assert read_recipe(path, registries, ["seed=4"]).seed == 4
    path.write_text(good.replace("twins", "twinz"), encoding="utf-8")
    assert str(only_problem(path, registries)).startswith(f"{path}:9:16 method.type: unknown method 'twinz'. Did you")


def test_windows_line_ends_change_no_place(tmp_path: Path, registries: Registries, good: str) -> None:
    path = tmp_path / "r.yaml"
    path.write_bytes(good.replace("twins", "twinz").replace("\n", "\r\n").encode())
    assert only_problem(path, registries).where == f"{path}:9:16"


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path, registries: Registries) -> None:
    missing = only_problem(tmp_path / "no.yaml", registries)
    assert (missing.where, missing.message) == (
        str(tmp_path / "no.yaml"),
        "there is no such file. 'nearkin recipes list' names those that ship.",
    )
    assert only_problem(tmp_path, registries).message == "cannot be read: it is a folder."


def test_bytes_that_are_not_utf8_are_placed(tmp_path: Path, registries: Registries) -> None:
    path = tmp_path / "r.yaml"
    path.write_bytes("name: a\nläbel: ".encode() + b"\xff\n")
    problem = only_problem(path, registries)
    assert str(problem) == f"{path}:2:8 the byte 0xff is not UTF-8. Save the file as UTF-8."


def test_a_file_larger_than_a_recipe_can_be_is_refused(tmp_path: Path, registries: Registries) -> None:
    path = tmp_path / "r.yaml"
    path.write_bytes(b"#" * (2**20 + 1))
    assert only_problem(path, registries).message == "is larger than 1,048,576 bytes; no recipe is."


def test_reading_a_recipe_loads_no_heavy_library(tmp_path: Path, good: str) -> None:
    (tmp_path / "r.yaml").write_text(good, encoding="utf-8")
    program = """
import sys
from nearkin.contracts import Component, Options
from nearkin.errors import RecipeError
from nearkin.recipe import json_schema, read_recipe
from nearkin.registry import Registries
registries = Registries()
for kind, name in (("backbone", "conv4"), ("sampler", "balanced_pairs"), ("method", "twins")):
    registries.of(kind).add(Component(kind, name, "x", "1", "", Options, None, "pairs", ("pairs",)))
try:
    read_recipe("r.yaml", registries)
except RecipeError:
    pass
json_schema(registries)
heavy = {"torch", "numpy", "faiss", "sklearn", "PIL"} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, env={**os.environ}, check=False
    )
    assert done.returncode == 0, done.stderr
