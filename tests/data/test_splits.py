"""Splits are drawn by seed alone, in the counts asked for, and never part a group."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nearkin.contracts import Split
from nearkin.data import Dataset, Item, split_items
from nearkin.errors import DataError
from nearkin.recipe.data_options import DataOptions


def item(key: str, label: str, group: str | None = None, split: Split | None = None) -> Item:
    return Item(key, label, group or key, split, 0)


def items_of(label: str, count: int, split: Split | None = None) -> list[Item]:
    return [item(f"{label}/{split}/{number}", label, split=split) for number in range(count)]


def options(**said: Any) -> DataOptions:
    return DataOptions(source="digits", **{"shots": 3, "select": 2, "calibrate": 4, **said})


def keys(items: Iterable[Item]) -> list[str]:
    return [item.key for item in items]


def counts(dataset: Dataset, split: Split) -> dict[str, int]:
    return dict(Counter(item.label for item in dataset.items[split]))


def trouble(items: Sequence[Item], said: DataOptions) -> str:
    with pytest.raises(DataError) as error:
        split_items(items, said, 0)
    return str(error.value)


ABC = [*items_of("a", 12), *items_of("b", 15), *items_of("c", 9)]

sources = st.lists(
    st.tuples(
        st.sampled_from("abcd"),
        st.integers(0, 40),
        st.sampled_from([None, None, None, "train", "select", "calibrate", "test"]),
    ),
    min_size=30,
    max_size=150,
).map(lambda rows: [item(f"{n:03}", label, f"g{group}", split) for n, (label, group, split) in enumerate(rows)])
"""Groups hold several classes; marks part groups."""


def unmarked(items: Sequence[Item]) -> list[Item]:
    return [item(i.key, i.label, i.group) for i in items]


def marked_by_group(items: Sequence[Item]) -> list[Item]:
    """Every group gets the mark of its first item."""
    marks: dict[str, Split | None] = {}
    return [item(i.key, i.label, i.group, marks.setdefault(i.group, i.split)) for i in items]


asked = st.builds(
    options,
    known=st.just(("b", "a")),
    unknown=st.sampled_from(["rest", ("c",), ()]),
    shots=st.integers(1, 4),
    select=st.integers(0, 3),
    calibrate=st.integers(0, 3),
    test=st.sampled_from([None, 1, 2]),
)


@settings(deadline=None, max_examples=150)
@given(st.one_of(sources.map(unmarked), sources.map(marked_by_group)), asked, st.integers(0, 2**63 - 1), st.randoms())
def test_whatever_the_source_the_draw_keeps_its_promises(
    items: list[Item], said: DataOptions, seed: int, shuffler: random.Random
) -> None:
    try:
        drawn = split_items(items, said, seed)
    except DataError:
        return
    for split, each in (("train", said.shots), ("select", said.select), ("calibrate", said.calibrate)):
        assert counts(drawn, split) == ({"a": each, "b": each} if each else {})
    used = drawn.all_items()
    assert len(set(keys(used))) == len(used)
    sides = [{item.group for item in drawn.items[split]} for split in drawn.items]
    assert sum(map(len, sides)) == len(set().union(*sides))
    assert len(used) + drawn.unused + sum(drawn.left_out.values()) == len(items)
    foreign = {"rest": {"c", "d"}}.get(str(said.unknown), set(said.unknown))
    assert {item.label for item in used} <= {"a", "b"} | foreign
    if said.test is not None:
        assert all(counts(drawn, "test")[label] == said.test for label in "ab")
        assert all(number <= said.test for number in counts(drawn, "test").values())
    known = [item for item in items if item.label in "ab"]
    if any(item.split == "test" for item in known):
        assert all(item.split == "test" for item in drawn.items["test"] if item.label in "ab")
    if any(item.split == "calibrate" for item in known):
        assert all(item.split == "calibrate" for item in drawn.items["calibrate"])
    assert all(item.split in (None, "train") for item in drawn.items["train"])
    shuffler.shuffle(items)
    assert split_items(items, said, seed) == drawn


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 4), st.integers(0, 3), st.integers(0, 3), st.integers(0, 5), st.integers(0, 1000))
def test_a_class_that_is_just_large_enough_is_enough(
    shots: int, select: int, calibrate: int, more: int, seed: int
) -> None:
    needs = shots + select + calibrate
    source = [*items_of("a", needs), *items_of("b", needs + more)]
    drawn = split_items(source, options(shots=shots, select=select, calibrate=calibrate), seed)
    assert counts(drawn, "test") == ({"b": more} if more else {})
    assert drawn.unused == 0


def test_the_seed_decides() -> None:
    first, again, other = (split_items(ABC, options(), seed) for seed in (1, 1, 2))
    assert first == again
    assert keys(first.items["train"]) != keys(other.items["train"])


def test_over_many_seeds_every_item_has_its_turn_in_train() -> None:
    seen = Counter(key for seed in range(200) for key in keys(split_items(ABC, options(), seed).items["train"]))
    assert set(seen) == {item.key for item in ABC}
    assert all(20 <= seen[f"a/None/{n}"] <= 80 for n in range(12)), seen


def test_more_calibration_images_never_change_which_ones_train() -> None:
    few, many = (split_items(ABC, options(calibrate=n), 3) for n in (0, 4))
    assert few.items["train"] == many.items["train"]
    assert few.items["select"] == many.items["select"]


def test_other_unknown_classes_never_change_what_the_known_ones_get() -> None:
    known = options(known=("a", "b"))
    none, rest = split_items(ABC, known, 5), split_items(ABC, options(known=("a", "b"), unknown="rest"), 5)
    assert [none.items[split] for split in ("train", "select", "calibrate")] == [
        rest.items[split] for split in ("train", "select", "calibrate")
    ]


def test_classes_come_in_the_order_of_the_recipe_else_sorted() -> None:
    assert split_items(ABC, options(known=("c", "a")), 0).classes == ("c", "a")
    assert split_items(ABC, options(), 0).classes == ("a", "b", "c")
    assert split_items(ABC, options(unknown=("b",)), 0).classes == ("a", "c")


def test_unknown_classes_are_test_items_whatever_their_marks() -> None:
    source = [*ABC, *items_of("x", 3, "train"), *items_of("x", 2, "calibrate"), *items_of("x", 4)]
    drawn = split_items(source, options(known=("a", "b", "c"), unknown=("x",)), 0)
    assert counts(drawn, "test")["x"] == 9
    assert not any(item.label == "x" for split in ("train", "select", "calibrate") for item in drawn.items[split])


def test_an_unknown_item_whose_group_trains_is_unused_and_counted() -> None:
    source = [item(f"{n}", "ab"[n % 2], f"g{n}") for n in range(20)] + [item(f"x{n}", "x", f"g{n}") for n in range(20)]
    drawn = split_items(source, options(known=("a", "b"), unknown=("x",)), 0)
    assert counts(drawn, "test") == {"a": 1, "b": 1, "x": 2}
    assert drawn.unused == 18
    assert "in no split, of known or unknown classes: 18 images." in drawn.notes()


def test_labels_that_are_neither_known_nor_unknown_are_left_out_and_told() -> None:
    drawn = split_items(ABC, options(known=("a", "b")), 0)
    assert drawn.left_out == {"c": 9}
    assert drawn.notes() == ["left out, neither known nor unknown: 9 images of 'c'."]


def test_labels_are_text_as_written() -> None:
    drawn = split_items([*items_of("007", 9), *items_of("7", 9)], options(known=("007", "7")), 0)
    assert counts(drawn, "train") == {"007": 3, "7": 3}


# --------------------------------------------------------------------------------- classes that do not train

ALPHABETS = [
    item(f"{alphabet}/{letter}/{drawer}", f"{alphabet}/{letter}", f"{alphabet} {drawer}")
    for alphabet in ("greek", "latin", "korean")
    for letter in "abcd"
    for drawer in range(6)
]
"""A drawer drew every letter of one alphabet."""


def test_patterns_name_classes_and_a_star_stops_at_a_slash() -> None:
    drawn = split_items(ALPHABETS, options(known=("greek/*", "latin/a"), select=0, calibrate=0), 0)
    assert drawn.classes == ("greek/a", "greek/b", "greek/c", "greek/d", "latin/a")
    assert set(drawn.left_out) == {"korean/a", "korean/b", "korean/c", "korean/d", "latin/b", "latin/c", "latin/d"}
    assert "data.known: no image has a label that fits the pattern '*'" in trouble(ALPHABETS, options(known=("*",)))


def test_base_classes_train_others_choose_and_others_again_are_asked_about() -> None:
    said = options(
        known=("greek/*",), select_classes=("latin/*",), unknown=("korean/*",), shots="all", select=2, calibrate=0
    )
    drawn = split_items(ALPHABETS, said, 0)
    assert counts(drawn, "train") == {f"greek/{c}": 6 for c in "abcd"}
    assert counts(drawn, "select") == {f"latin/{c}": 2 for c in "abcd"}
    assert counts(drawn, "test") == {f"korean/{c}": 6 for c in "abcd"}
    assert drawn.codes("train").max() == drawn.codes("select").max() == 3
    assert drawn.unused == 16
    every = split_items(ALPHABETS, said.model_copy(update={"select": "all"}), 0)
    assert every.unused == 0
    assert every.items["train"] == drawn.items["train"]


def test_an_exact_label_wins_over_a_pattern_and_two_patterns_may_not_fit_one_class() -> None:
    said = options(known=("*/*",), select_classes=("greek/a", "greek/b"), unknown=("korean/d",), select=1, calibrate=0)
    drawn = split_items(ALPHABETS, said, 0)
    assert len(drawn.classes) == 9
    assert drawn.select_classes == ("greek/a", "greek/b")
    said = options(known=("*/*",), unknown=("korean/*",))
    assert (
        "patterns of known and unknown fit the same classes: korean/a, korean/b, korean/c, korean/d. "
        "Let each fit those of one key alone."
    ) in trouble(ALPHABETS, said)


def test_all_shots_are_what_the_other_splits_leave() -> None:
    drawn = split_items(ABC, options(shots="all", test=1), 0)
    assert counts(drawn, "train") == {"a": 5, "b": 8, "c": 2}
    assert counts(drawn, "test") == {"a": 1, "b": 1, "c": 1}
    assert split_items(ABC, options(shots="all"), 0).items["test"] == ()
    marked = [*ABC, *items_of("a", 2, "test"), *items_of("b", 3, "test"), *items_of("c", 1, "test")]
    assert counts(split_items(marked, options(shots="all"), 0), "test") == {"a": 2, "b": 3, "c": 1}
    assert "class 'c': train needs 1 images and has 0" in trouble(ABC, options(shots="all", test=3))


def test_one_class_to_choose_by_is_refused() -> None:
    said = options(known=("a", "b"), select_classes=("c",))
    assert "at least two classes are needed to choose by, and 'c' is one" in trouble(ABC, said)


# ------------------------------------------------------------------------------------- splits of the source


def test_marked_test_items_are_the_test_split_and_nothing_else_is() -> None:
    source = [*ABC, *items_of("a", 2, "test"), *items_of("b", 3, "test"), *items_of("c", 1, "test")]
    drawn = split_items(source, options(), 0)
    assert sorted(keys(drawn.items["test"])) == sorted(keys(source[len(ABC) :]))
    assert drawn.unused == len(ABC) - 3 * 9


def test_select_and_calibrate_are_drawn_from_what_is_marked_for_them() -> None:
    source = [*ABC, *(i for label in "abc" for i in items_of(label, 6, "calibrate"))]
    drawn = split_items(source, options(), 0)
    assert {item.split for item in drawn.items["calibrate"]} == {"calibrate"}
    assert counts(drawn, "calibrate") == {"a": 4, "b": 4, "c": 4}
    assert {item.split for split in ("train", "select", "test") for item in drawn.items[split]} == {None}


def test_a_group_on_two_sides_of_the_source_is_refused_by_name() -> None:
    source = [*ABC, item("p1", "a", "patient 7"), item("p2", "b", "patient 7", "test"), item("q", "a", "q", "test")]
    said = trouble(source, options(known=("a", "b"), test=None))
    assert "groups that stand in more than one split of the source: 'patient 7' (test and train)." in said


def test_train_and_unmarked_are_one_side() -> None:
    split_items([*ABC, item("p1", "a", "p"), item("p2", "a", "p", "train")], options(), 0)


# --------------------------------------------------------------------------------------------------- errors


def test_a_class_that_is_too_small_is_named_with_has_needs_and_the_mend() -> None:
    source = [*items_of("a", 20), *(item(f"b{n}", "b", f"g{n // 2}") for n in range(6))]
    said = trouble(source, options())
    assert "class 'b': calibrate needs 4 images and has 0, in 0 groups that no other split took" in said
    assert "the class has 6 in all. Lower data.calibrate (or the count of another split), or add images." in said
    assert "'a'" not in said


def test_a_mark_that_is_too_rare_is_told_as_such() -> None:
    said = trouble([*ABC, *items_of("a", 1, "select")], options())
    assert "class 'a': select needs 2 images and has 1 that the source marks select, in 1 groups" in said
    assert "class 'c': select needs 2 images and has 0 that the source marks select" in said


def test_a_test_count_that_cannot_be_had_is_an_error() -> None:
    assert "class 'a': test needs 4 images and has 3" in trouble(ABC, options(test=4))


def test_all_problems_are_told_at_once() -> None:
    source = [*items_of("covid", 30), *items_of("normal", 2), item("p", "covid", "g", "test"), item("q", "covid", "g")]
    said = trouble(source, options(known=("covid", "normal", "viral"), unknown=("norml",)))
    assert "groups that stand in more than one split" in said
    assert "data.known: no image has the label 'viral'. The labels are covid, normal." in said
    assert "data.unknown: no image has the label 'norml'. Did you mean 'normal'?" in said
    assert "class 'normal': train needs 3 images and has 2" in said
    assert "class 'viral'" not in said


@pytest.mark.parametrize("source", [[], items_of("a", 50)])
def test_fewer_than_two_classes_are_refused(source: list[Item]) -> None:
    assert "at least two classes are needed" in trouble(source, options())


def test_a_class_named_twice_or_on_both_sides_is_refused() -> None:
    assert "class 'a' is named 2 times" in trouble(ABC, options(known=("a", "b", "a")))
    assert "class 'b' is named 2 times in known and unknown; name each class once" in trouble(
        ABC, options(known=("a", "b"), unknown=("b",))
    )


def test_the_rest_of_all_classes_is_refused() -> None:
    assert "data.known must name the known classes" in trouble(ABC, options(unknown="rest"))


@pytest.mark.parametrize("shots", [1, 2, "all"])
def test_a_held_out_seed_keeps_select_and_calibrate_whatever_the_shots(shots: Any) -> None:
    base = split_items(ABC, options(shots="all", held_out_seed=7), 0)
    for seed in range(5):
        drawn = split_items(ABC, options(shots=shots, held_out_seed=7), seed)
        assert [keys(drawn.items[s]) for s in ("select", "calibrate")] == [
            keys(base.items[s]) for s in ("select", "calibrate")
        ]
        assert set(keys(drawn.items["train"])) <= set(keys(base.items["train"]))


def test_with_a_held_out_seed_the_shots_still_follow_the_seed() -> None:
    drawn = {tuple(keys(split_items(ABC, options(held_out_seed=7), seed).items["train"])) for seed in range(5)}
    assert len(drawn) > 1
