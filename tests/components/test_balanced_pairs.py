"""Balanced pairs keep their word for every labelling, size and step."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nearkin.components.samplers import BalancedPairsOptions, make_balanced_pairs
from nearkin.components.samplers.balanced_pairs import BalancedPairs
from nearkin.contracts import Batch, Build, Pairs, Sampler
from nearkin.errors import DataError


def sampler(labels: list[int], *, pairs: int = 30, seed: int = 0) -> Sampler:
    names = tuple(f"class{code}" for code in range(max(labels) + 1))
    build = Build(seed=seed, classes=names, labels=np.array(labels))
    return make_balanced_pairs(BalancedPairsOptions(pairs=pairs), build)


def pairs_of(batch: Batch) -> Pairs:
    assert isinstance(batch.structure, Pairs)
    return batch.structure


labelled = st.lists(st.integers(2, 6), min_size=2, max_size=5).flatmap(
    lambda sizes: st.permutations([code for code, size in enumerate(sizes) for _ in range(size)])
)


@settings(deadline=None, max_examples=60)
@given(labels=labelled, half=st.integers(1, 20), seed=st.integers(0, 9), step=st.integers(0, 999))
def test_a_batch_has_as_many_same_as_different_pairs_and_none_of_an_image_with_itself(
    labels: list[int], half: int, seed: int, step: int
) -> None:
    batch = sampler(labels, pairs=2 * half, seed=seed).batch(step)
    of_item = np.array(labels)[batch.items]
    a1, p, a2, n = pairs_of(batch)
    assert len(a1) == len(p) == len(a2) == len(n) == half
    assert (of_item[a1] == of_item[p]).all()
    assert (of_item[a2] != of_item[n]).all()
    assert (a1 != p).all()


@settings(deadline=None, max_examples=30)
@given(labels=labelled, half=st.integers(1, 20), step=st.integers(0, 999))
def test_the_items_of_a_batch_are_unique_and_all_used(labels: list[int], half: int, step: int) -> None:
    batch = sampler(labels, pairs=2 * half).batch(step)
    assert len(set(batch.items.tolist())) == len(batch.items)
    used = {int(i) for part in pairs_of(batch) for i in part}
    assert used == set(range(len(batch.items)))


@settings(deadline=None, max_examples=30)
@given(labels=labelled, half=st.integers(1, 7))
def test_classes_come_equally_often_over_a_full_round(labels: list[int], half: int) -> None:
    n_classes = max(labels) + 1
    class_pairs = n_classes * (n_classes - 1) // 2
    drawn = sampler(labels, pairs=2 * half)
    same: Counter[int] = Counter()
    different: Counter[int] = Counter()
    for step in range(n_classes * class_pairs):
        batch = drawn.batch(step)
        of_item = np.array(labels)[batch.items]
        a1, _, a2, n = pairs_of(batch)
        same.update(of_item[a1].tolist())
        different.update(of_item[a2].tolist() + of_item[n].tolist())
    assert len(set(same.values())) == 1
    assert len(set(different.values())) == 1


def test_a_batch_follows_seed_and_step_alone() -> None:
    labels = [0] * 10 + [1] * 10 + [2] * 10
    straight, jumping = sampler(labels), sampler(labels)
    expected = [straight.batch(step) for step in range(6)]
    for step in (5, 0, 3):
        again = jumping.batch(step)
        assert again.items.tolist() == expected[step].items.tolist()
        for mine, theirs in zip(pairs_of(again), pairs_of(expected[step]), strict=True):
            assert mine.tolist() == theirs.tolist()
    assert sampler(labels, seed=1).batch(0).items.tolist() != expected[0].items.tolist()


def test_every_image_and_every_partner_turns_up() -> None:
    labels = [0] * 4 + [1] * 4
    seen = set()
    drawn = sampler(labels, pairs=8)
    for step in range(200):
        batch = drawn.batch(step)
        a1, p, a2, n = pairs_of(batch)
        for left, right in [*zip(a1, p, strict=True), *zip(a2, n, strict=True)]:
            seen.add(frozenset((int(batch.items[left]), int(batch.items[right]))))
    assert len(seen) == 8 * 7 / 2


def test_a_class_with_one_image_is_named_with_the_mend() -> None:
    with pytest.raises(DataError, match=r"'class1' has 1.*data\.shots"):
        sampler([0, 0, 1, 2, 2])


def test_a_known_class_without_images_is_named() -> None:
    build = Build(seed=0, classes=("a", "b", "c"), labels=np.array([0, 0, 1, 1]))
    with pytest.raises(DataError, match="'c' has 0"):
        make_balanced_pairs(BalancedPairsOptions(), build)


def test_an_odd_number_of_pairs_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple of 2"):
        BalancedPairsOptions(pairs=7)


@settings(deadline=None, max_examples=40)
@given(n_classes=st.integers(2, 30), seed=st.integers(0, 99))
def test_a_round_of_class_pairs_is_every_pair_once(n_classes: int, seed: int) -> None:
    build = Build(seed=seed, classes=("x",) * n_classes, labels=np.repeat(np.arange(n_classes), 2))
    made = BalancedPairs(BalancedPairsOptions(), build)
    pairs = made.class_pairs(np.arange(n_classes * (n_classes - 1) // 2))
    assert len({frozenset(pair) for pair in pairs.tolist()}) == len(pairs)
    assert (pairs[:, 0] != pairs[:, 1]).all()
