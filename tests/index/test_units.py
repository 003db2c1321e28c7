"""What counts once: a group, copies of an image; so that no copy makes a p-value smaller than the promise allows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nearkin.contracts import Embedded
from nearkin.errors import IndexCallError
from nearkin.index import Index, load
from nearkin.index.units import units_of

RNG = np.random.default_rng(0)
POINTS = RNG.normal(size=(40, 4)).astype(np.float32)
DIGESTS = tuple(f"{row:064x}" for row in range(40))


def named(rows: range) -> Embedded:
    return Embedded(POINTS[rows], tuple(DIGESTS[row] for row in rows), tuple(f"{row}.png" for row in rows))


def index(*rows: int) -> Index:
    made = Index(metric="l2", class_rule="nearest", dim=4)
    made.add(POINTS[list(rows)], ["a"] * len(rows))
    return made


def count(made: Index) -> int:
    return made.promise.groups["a"]


def test_without_copies_the_units_are_the_groups() -> None:
    found = units_of("aabb", ("p", "p", "p", ""), ("1", "2", "3", "4"), POINTS[:4])
    assert found == (("p", -1), ("p", -1), ("p", -1), ("", 3))


def test_copies_join_their_groups_along_chains_within_a_class() -> None:
    groups, digests = ("p", "q", "q", "r", "p", ""), ("1", "1", "2", "2", "3", "1")
    assert set(units_of("a" * 6, groups, digests, POINTS[:6])) == {("", 5)}
    assert units_of("ab", ("", ""), ("1", "1"), POINTS[:2]) == (("", 0), ("", 1)), "an item of each class"


def test_an_embedding_tells_a_copy_only_where_a_digest_is_missing() -> None:
    same = np.ones((4, 2), dtype=np.float32)
    assert len(set(units_of("aaaa", [""] * 4, ("1", "2", "3", "4"), same))) == 4, "four images, one embedding"
    assert len(set(units_of("aaaa", [""] * 4, ("1", "2", "", ""), same))) == 2


@pytest.mark.parametrize("times", [2, 4])
def test_an_image_given_again_counts_once(times: int) -> None:
    rows = [row for row in range(10, 19) for _ in range(times)]
    with_digests, bare = index(*range(10)), index(*range(10))
    given = Embedded(POINTS[rows], tuple(DIGESTS[row] for row in rows), tuple(f"{row}.png" for row in rows))
    with_digests.calibrate(given, ["a"] * len(rows))
    bare.calibrate(POINTS[rows], ["a"] * len(rows))
    once = index(*range(10))
    once.calibrate(POINTS[10:19], ["a"] * 9)
    assert count(with_digests) == count(bare) == count(once) == 9
    far = np.full((1, 4), 50, dtype=np.float32)
    assert with_digests.query(far)[0].p_values == bare.query(far)[0].p_values == once.query(far)[0].p_values


def test_what_trained_as_an_embedding_is_known_again_under_a_name() -> None:
    held_out = index(*range(20, 40))
    held_out.remember_trained(POINTS[:10])
    with pytest.raises(IndexCallError, match="have the embedding of an image that trained the model"):
        held_out.calibrate(named(range(10)), ["a"] * 10)
    on_references = Index(metric="l2", class_rule="nearest", dim=4)
    on_references.remember_trained(POINTS[:10])
    on_references.add(named(range(40)), ["a"] * 40)
    on_references.calibrate_on_references()
    assert count(on_references) == 30


def test_two_images_of_one_embedding_are_two_images(tmp_path: Path) -> None:
    """As a network that collapsed embeds them: digests tell that one trained and the other did not."""
    one = np.ones((40, 4), dtype=np.float32)
    made = index()
    made.remember_trained(Embedded(one[:10], DIGESTS[:10], tuple(f"{row}.png" for row in range(10))))
    made.add(Embedded(one[10:20], DIGESTS[10:20], tuple(f"{row}.png" for row in range(10, 20))), ["a"] * 10)
    made.save(tmp_path / "x.index", with_model=False)
    opened = load(tmp_path / "x.index")
    opened.calibrate(Embedded(one[20:30], DIGESTS[20:30], tuple(f"{row}.png" for row in range(20, 30))), ["a"] * 10)
    assert count(opened) == 10
    with pytest.raises(IndexCallError, match="calibration items that trained the model"):
        opened.calibrate(Embedded(one[:2], DIGESTS[:2], ("0.png", "1.png")), ["a"] * 2)
    made.remember_trained(one[:1])
    with pytest.raises(IndexCallError, match="have the embedding of an image that trained the model"):
        made.calibrate(Embedded(one[20:30], DIGESTS[20:30], tuple(f"{row}.png" for row in range(20, 30))), ["a"] * 10)
