"""Claims about the table of alphas: it says what would happen, exactly."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nearkin.errors import IndexCallError
from nearkin.index import Index
from nearkin.index.alphas import false_flags, rejected_ranks
from nearkin.index.calibration import worst_share

Draw = Callable[..., Any]


def test_rejected_ranks_are_exact_for_every_percentage() -> None:
    for percent in range(1, 100):
        for n in range(1, 300):
            assert rejected_ranks(percent / 100, n) == Fraction(percent, 100) * (n + 1) // 1


def test_an_alpha_that_was_computed_is_read_as_the_index_reads_it() -> None:
    assert 1 - 0.9 < 0.1
    assert rejected_ranks(1 - 0.9, 9) == rejected_ranks(0.1, 9) == 1


def test_a_row_says_which_classes_could_be_flagged_and_why_others_cannot(make: Callable[..., Index]) -> None:
    rows = make({"a": 19, "b": 9}).alpha_table(alphas=[0.05, 0.10])
    assert [row.alpha for row in rows] == [0.05, 0.10]
    assert set(rows[0].false_flags) == {"a"}
    assert rows[0].cannot_flag == {"b": "too few: 9 of needed 19 for alpha 0.05", "c": "none given"}
    assert set(rows[1].false_flags) == {"a", "b"}
    assert (rows[1].false_flags["a"].expected, rows[1].false_flags["b"].expected) == (2 / 20, 1 / 10)
    assert rows[1].load is None


def test_the_range_is_for_as_many_images_as_asked(make: Callable[..., Index]) -> None:
    index = make({"a": 19})
    (few,), (many,) = (index.alpha_table(alphas=[0.1], images=m) for m in (5, 1000))
    assert few.false_flags["a"].images == 5
    assert few.false_flags["a"].high > many.false_flags["a"].high
    assert many.false_flags["a"].low <= 0.1 <= many.false_flags["a"].high


def test_the_load_of_each_alpha_is_that_of_asking_at_it(make: Callable[..., Index], draw: Draw) -> None:
    index = make({"a": 40, "b": 30})
    queries = np.concatenate([draw(label, 20, 60) for label in "abc"] + [np.full((5, 3), 40, np.float32)])
    for row in index.alpha_table(queries):
        statuses = [answer.status for answer in index.query(queries, alpha=row.alpha)]
        assert row.load is not None
        found = (row.load.known, row.load.ambiguous, row.load.unknown, row.load.undecided)
        assert found == tuple(statuses.count(s) for s in ("known", "ambiguous", "unknown", None))
        assert row.load.asked == len(queries)
        assert row.load.share == 1 - row.load.known / len(queries)
        assert row.load.flagged == row.load.unknown / len(queries)


def test_images_of_a_class_are_flagged_as_often_as_the_table_expects() -> None:
    """Draws of continuous scores: the mean share flagged is the expected one, the 95% range holds in 95%."""
    rng, shares = np.random.default_rng(5), []
    for _ in range(300):
        index = Index(metric="l2", class_rule="nearest", dim=2)
        index.add(rng.normal(size=(4, 2)).astype(np.float32), ["a"] * 4)
        index.calibrate(rng.normal(size=(19, 2)).astype(np.float32), ["a"] * 19)
        load = index.alpha_table(rng.normal(size=(50, 2)).astype(np.float32), alphas=[0.1])[0].load
        assert load is not None
        shares.append(load.flagged)
    said = false_flags(0.1, 19, 50)
    assert np.mean(shares) == pytest.approx(said.expected, abs=0.015)
    assert np.mean([said.low <= share <= said.high for share in shares]) > 0.92


def test_other_ways_than_held_out_say_what_bounds_the_share_and_no_range(draw: Draw) -> None:
    index = Index(metric="l2", class_rule="nearest", dim=3)
    index.add(draw("a", 25, 0), ["a"] * 25)
    flags = index.calibrate_on_references().alpha_table(alphas=[0.01, 0.10])[1].false_flags["a"]
    assert (flags.expected, flags.exact, flags.low, flags.high) == (2 / 26, False, None, None)
    across = false_flags(0.10, 10, 100, way="cross_conformal", folds=5)
    assert (across.expected, across.exact, across.low) == (worst_share(0.10, 10, 5), False, None)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"alphas": [0.1, 2.0]}, "alpha 2.0"),
        ({"alphas": 0.1}, "give a list"),
        ({"alphas": "0.1"}, "give a list"),
        ({"images": 0}, "images 0"),
        ({"queries": np.zeros((2, 9))}, "9 dimens"),
    ],
)
def test_a_table_that_cannot_be_made_is_refused(asked: dict[str, Any], said: str, make: Callable[..., Index]) -> None:
    with pytest.raises(IndexCallError, match=said):
        make().alpha_table(**asked)


def test_the_table_in_the_docs_is_what_comes_out() -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-it-decides.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| ([\d.]+) \| (\d+) to (\d+) \|$", page, re.MULTILINE)
    assert len(rows) == 5
    for groups, expected, low, high in rows:
        found = false_flags(0.10, int(groups), 100)
        assert f"{100 * found.expected:.1f}" == expected
        assert (round(100 * found.low), round(100 * found.high)) == (int(low), int(high))


def test_no_queries_have_no_load(make: Callable[..., Index]) -> None:
    load = make().alpha_table(np.zeros((0, 3), np.float32))[0].load
    assert load is not None
    assert (load.asked, load.share, load.flagged) == (0, 0.0, 0.0)


def test_the_load_is_that_of_the_answers_where_classes_have_unlike_numbers_of_items() -> None:
    # Large enough that classes are not all measured, but as far as each alpha reaches.
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(5, 16)) * 1.5
    codes, items = rng.integers(0, 5, 20_000), np.concatenate([np.zeros(60, int), np.repeat([1, 2, 3, 4], 6)])
    index = Index(metric="l2", class_rule="nearest", dim=16)
    index.add((centres[codes] + rng.normal(size=(20_000, 16))).astype(np.float32), [f"c{code}" for code in codes])
    calibration = centres[items] + 1.7 * rng.normal(size=(len(items), 16))
    index.calibrate(calibration.astype(np.float32), [f"c{code}" for code in items])
    queries = (centres[rng.integers(0, 5, 100)] + 1.6 * rng.normal(size=(100, 16))).astype(np.float32)
    for row in index.alpha_table(queries, alphas=[0.02, 0.10, 0.20]):
        statuses = [answer.status for answer in index.query(queries, alpha=row.alpha)]
        assert (row.load.known, row.load.unknown) == (statuses.count("known"), statuses.count("unknown"))


def test_alphas_may_come_one_by_one(make: Callable[..., Index]) -> None:
    index = make()
    assert index.alpha_table(alphas=(alpha for alpha in (0.05, 0.1))) == index.alpha_table(alphas=[0.05, 0.1])  # type: ignore[arg-type]
