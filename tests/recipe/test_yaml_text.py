"""YAML is read by the core schema of YAML 1.2, every value has its place, and what is written reads back."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nearkin.errors import RecipeError
from nearkin.recipe.problems import Problems
from nearkin.recipe.yaml_text import MAX_DEPTH, read_document, write_yaml


def read(text: str) -> dict[str, Any]:
    problems = Problems()
    data = read_document(text, "r.yaml", problems)
    problems.raise_any()
    return data


def refused(text: str) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        read(text)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1E5", 1e5),
        ("1e+5", 1e5),
        (".5", 0.5),
        ("-.5", -0.5),
        ("+1.", 1.0),
        ("0o14", 12),
        ("0x1F", 31),
        ("012", 12),
        ("+7", 7),
        ("-0", 0),
        ("true", True),
        ("TRUE", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("Null", None),
        ("no", "no"),
        ("Yes", "Yes"),
        ("on", "on"),
        ("OFF", "OFF"),
        ("y", "y"),
        ("tRUE", "tRUE"),
        ("2024-01-31", "2024-01-31"),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("0b11", "0b11"),
        ("0o9", "0o9"),
        ("-0x1F", "-0x1F"),
        ("1e", "1e"),
        (".", "."),
        ("<<", "<<"),
        ("=", "="),
        ("'012'", "012"),
        ('"true"', "true"),
        ("'1e-3'", "1e-3"),
        ("-.INF", -math.inf),
    ],
)
def test_unquoted_values_mean_what_yaml_1_2_says(text: str, value: object) -> None:
    found = read(f"a: {text}\n")["a"]
    assert found == value
    assert type(found) is type(value)


def test_nan_is_a_float() -> None:
    assert math.isnan(read("a: .nan")["a"])


def test_a_merge_key_is_an_ordinary_key() -> None:
    assert read("<<: {a: 1}\n") == {"<<": {"a": 1}}


def test_every_key_and_value_has_its_place() -> None:
    problems = Problems()
    read_document("# first\na: 1\nb:\n  c: [x, 007]\n  d: {e: ~}\n", "r.yaml", problems)
    places = {path: (spot.key.text, spot.value.text, spot.written) for path, spot in problems.spots.items()}
    assert places["a",] == ("r.yaml:2:1", "r.yaml:2:4", "1")
    assert places["b", "c"] == ("r.yaml:4:3", "r.yaml:4:6", None)
    assert places["b", "c", 1] == ("r.yaml:4:10", "r.yaml:4:10", "007")
    assert places["b", "d", "e"] == ("r.yaml:5:7", "r.yaml:5:10", "~")


def test_all_that_recipes_leave_out_is_told_at_once_with_its_place() -> None:
    text = "%YAML 1.1\n---\na: &x 1\nb: *x\na: 2\nc: !!str 3\nd: !mine {e: 1, e: 2}\n3: x\n[k]: y\n---\nz: 1\n"
    assert refused(text) == [
        "r.yaml:1:1 recipes take no '%' directives: delete the line.",
        "r.yaml:3:4 a: recipes take no anchors: delete '&x'.",
        "r.yaml:4:4 b: recipes take no aliases: write the value out instead of '*x'.",
        "r.yaml:5:1 a: the key 'a' is repeated; it first stands at r.yaml:3:1. Delete one of them.",
        "r.yaml:6:4 c: recipes take no tags: delete '!!str'; for text, use quotes.",
        "r.yaml:7:4 d: recipes take no tags: delete '!mine'; for text, use quotes.",
        "r.yaml:7:17 d.e: the key 'e' is repeated; it first stands at r.yaml:7:11. Delete one of them.",
        'r.yaml:8:1 keys are text: write "3" in quotes.',
        "r.yaml:9:1 keys are text, not lists or sections.",
        "r.yaml:10:1 a second document begins here: a recipe is one document. Delete the '---' or split the file.",
    ]


def test_a_repeated_key_is_found_whatever_its_values() -> None:
    for value in ("1", "null", "x", "[]"):
        assert len(refused(f"a: {value}\na: {value}\n")) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "r.yaml:1:1 there is nothing here: it is empty, or comments alone."),
        ("# only this\n", "r.yaml:2:1 there is nothing here: it is empty, or comments alone."),
        ("---\n", "r.yaml:2:1 the file is empty; a recipe is keys with values, such as 'name: my-run'."),
        ("- a\n", "r.yaml:1:1 the file holds no keys; a recipe is keys with values, such as 'name: my-run'."),
        ("a: b: c", "r.yaml:1:5 a ':' cannot stand here. Check the indentation, or quote text that holds it."),
        ("a: 1\n b: 2", "r.yaml:2:3 a ':' cannot stand here. Check the indentation, or quote text that holds it."),
        ("a:\n\t- b", "r.yaml:2:1 a tab cannot indent. Use spaces."),
        ("a: @x", "r.yaml:1:4 text cannot begin with '@'. Put it in quotes."),
        ("a: - b", "r.yaml:1:4 a '- ' entry cannot stand here. Begin the list on a line of its own."),
        ("a\nb: 3", "r.yaml:2:2 a ':' cannot stand here. Check the indentation, or quote text that holds it."),
        ("a: 1\nb\n", "r.yaml:3:1 this key has no ':' after it. Write 'key: value'."),
        ("a: [1, 2\nb: 3", "r.yaml:2:2 a list that '[' opens goes wrong here: a ',' or the closing ']' is missing."),
        ("a: {b: 1\nc: 3", "r.yaml:2:2 a section that '{' opens goes wrong here: a ',' or the closing '}' is missing."),
        ("a:\n - b\nc", "r.yaml:3:2 this key has no ':' after it. Write 'key: value'."),
        ("a: b\n- c", "r.yaml:2:1 this does not fit the lines above. Check indentation, quotes and commas."),
        ("a: 'x", "r.yaml:1:6 a quote is opened and never closed. Add the closing quote."),
        (
            'a: "\\q"',
            "r.yaml:1:6 in double quotes a backslash begins an escape, and 'q' is none. "
            "Write \\\\ or use single quotes.",
        ),
        ("a: ]", "r.yaml:1:4 a value is missing here."),
        ("a: \x00", "r.yaml:1:4 the character U+0000 cannot stand in YAML: delete it."),
        ("a: 1\nbc: \x07", "r.yaml:2:5 the character U+0007 cannot stand in YAML: delete it."),
        ("a: " + "[" * 5000, "r.yaml:1:23 nested deeper than 20 levels."),
        ("a: " + "9" * 5000, "r.yaml:1:4 a: a whole number of 5000 digits cannot be meant."),
    ],
)
def test_what_cannot_be_read_says_where_and_the_mend(text: str, said: str) -> None:
    assert refused(text) == [said]


def test_what_was_wrong_before_a_syntax_error_is_told_too() -> None:
    assert refused("a: 1\na: 2\nb: 'x\n") == [
        "r.yaml:2:1 a: the key 'a' is repeated; it first stands at r.yaml:1:1. Delete one of them.",
        "r.yaml:4:1 a quote is opened and never closed. Add the closing quote.",
    ]


def test_twenty_levels_are_read_and_one_more_is_not() -> None:
    deepest = "a: " + "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1)
    assert str(read(deepest)).count("[") == MAX_DEPTH - 1
    assert refused(deepest.replace("[]", "[[]]")) == ["r.yaml:1:23 nested deeper than 20 levels."]


texts = st.one_of(
    st.text(st.characters(), max_size=12),
    st.text(
        st.sampled_from(" \t\n\r\\'\"#:-?,[]{}&*!|>%@`~=<.0123456789eExoTrue\x00\x07\x7f\x85\xa0\u2028\ufeff\ud800ü😀")
    ),
    st.sampled_from(["007", "no", "1e-3", "null", "", "~", "true", "0x1F", ".5", ".inf", "<<", "=", "---", "1:30"]),
    st.integers().map(str),
    st.floats().map(str),
)
scalars = st.one_of(
    texts, st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=True)
)
trees = st.recursive(
    scalars, lambda inside: st.lists(inside, max_size=4) | st.dictionaries(texts, inside, max_size=4), max_leaves=12
)


def same(one: Any, other: Any) -> bool:
    """Equal in type too: 1 is not 1.0, nor True, nor "1"."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    return bool(one == other)


@settings(deadline=None, max_examples=250)
@given(tree=st.dictionaries(texts, trees, max_size=4))
@example(tree={"a": "x" * 300 + " " + "y" * 300, "k" * 200: "a\n\nb\n", "multi\nline": ["- a", "? b", "a: b", "a #b"]})
@example(tree={"a": {"x": [], "y": {}}, "b": [[], [{}], {"c": []}]})
def test_whatever_is_written_reads_back_the_same(tree: dict[str, Any]) -> None:
    assert same(read(write_yaml(tree)), tree)


def check_places(error: RecipeError) -> None:
    assert all(problem.where.startswith("r.yaml:") and problem.message for problem in error.problems)


@settings(deadline=None, max_examples=200)
@given(text=st.text(st.sampled_from(" \n\t'\"#:-?,[]{}&*!|>%@~=.0ab\\"), max_size=40))
def test_any_text_is_read_or_refused_with_a_place(text: str) -> None:
    try:
        read(text)
    except RecipeError as error:
        check_places(error)


def test_the_writer_repeats_a_value_that_comes_twice_instead_of_aliasing_it() -> None:
    shared = [1, 2]
    assert write_yaml({"a": shared, "b": shared}) == "a: [1, 2]\nb: [1, 2]\n"
