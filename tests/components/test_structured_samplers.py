"""Triplets, m per class, and what all samplers share: batches as small as they look among any number of items."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nearkin import load_registries
from nearkin.contracts import Build, Pairs, Sampler, Triplets
from nearkin.errors import DataError

SAMPLERS = load_registries(entry_points=False).sampler


def make(name: str, labels: list[int], seed: int = 0, **options: int) -> Sampler:
    component = SAMPLERS.get(name)
    classes = tuple(f"class{code}" for code in range(max(labels) + 1))
    made: Sampler = component.factory(
        component.options.model_validate(options), Build(seed=seed, classes=classes, labels=np.array(labels))
    )
    return made


labelled = st.lists(st.integers(2, 6), min_size=2, max_size=6).flatmap(
    lambda sizes: st.permutations([code for code, size in enumerate(sizes) for _ in range(size)])
)


@settings(deadline=None, max_examples=60)
@given(labels=labelled, triplets=st.integers(1, 40), seed=st.integers(0, 9), step=st.integers(0, 10**6))
def test_a_triplet_is_two_images_of_a_class_and_one_of_another(
    labels: list[int], triplets: int, seed: int, step: int
) -> None:
    batch = make("triplets", labels, seed, triplets=triplets).batch(step)
    assert isinstance(batch.structure, Triplets)
    a, p, n = batch.structure
    of = np.array(labels)[batch.items]
    assert len(a) == len(p) == len(n) == triplets
    assert (of[a] == of[p]).all()
    assert (of[a] != of[n]).all()
    assert (a != p).all()
    assert {*a.tolist(), *p.tolist(), *n.tolist()} == set(range(len(batch.items)))


@settings(deadline=None, max_examples=30)
@given(labels=labelled, triplets=st.integers(1, 7))
def test_every_class_anchors_equally_often(labels: list[int], triplets: int) -> None:
    sampler, n_classes = make("triplets", labels, triplets=triplets), max(labels) + 1
    anchors: Counter[int] = Counter()
    for step in range(n_classes):
        batch = sampler.batch(step)
        assert isinstance(batch.structure, Triplets)
        anchors.update(np.array(labels)[batch.items][batch.structure.a].tolist())
    assert set(anchors.values()) == {triplets}


@settings(deadline=None, max_examples=60)
@given(labels=labelled, classes=st.integers(2, 9), seed=st.integers(0, 9), step=st.integers(0, 10**6))
def test_m_of_each_class_are_different_images(labels: list[int], classes: int, seed: int, step: int) -> None:
    batch = make("m_per_class", labels, seed, classes=classes, m=2).batch(step)
    assert batch.structure is None
    counts = Counter(np.array(labels)[batch.items].tolist())
    assert len(counts) == min(classes, max(labels) + 1)
    assert set(counts.values()) == {2}


def test_all_pairs_holds_every_two_images_of_its_batch_once_on_the_right_side() -> None:
    labels = np.repeat(np.arange(10), 6)
    batch = make("all_pairs", labels.tolist(), classes=4, m=3).batch(7)
    pairs = batch.structure
    assert isinstance(pairs, Pairs)
    of_batch = labels[batch.items]
    assert (of_batch[pairs.a1] == of_batch[pairs.p]).all()
    assert (of_batch[pairs.a2] != of_batch[pairs.n]).all()
    held = {frozenset(pair) for pair in [*zip(pairs.a1, pairs.p, strict=True), *zip(pairs.a2, pairs.n, strict=True)]}
    assert held == {frozenset(pair) for pair in combinations(range(12), 2)}
    assert len(pairs.a1) + len(pairs.a2) == len(held)
    assert len(set(batch.items.tolist())) == 12


@pytest.mark.parametrize("name", ["triplets", "m_per_class", "balanced_pairs", "all_pairs"])
def test_a_class_that_is_too_small_is_named_with_has_needs_and_the_mend(name: str) -> None:
    with pytest.raises(DataError) as error:
        make(name, [0, 0, 0, 0, 1, 2, 2, 2, 2])
    needs = 4 if name == "m_per_class" else 2
    assert f"sampler {name} needs {needs} training images of each class" in str(error.value)
    assert "'class1' has 1." in str(error.value)
    assert "Raise data.shots, add images, or take the class out of data.known." in str(error.value)


@pytest.mark.parametrize("name", ["triplets", "m_per_class", "balanced_pairs", "all_pairs"])
def test_a_single_class_is_refused(name: str) -> None:
    with pytest.raises(DataError, match="needs two classes"):
        make(name, [0] * 9)


@pytest.mark.parametrize("name", ["triplets", "m_per_class", "balanced_pairs", "all_pairs", "episodes"])
def test_a_batch_is_as_large_among_a_hundred_thousand_items_as_among_a_thousand(name: str) -> None:
    few, many = (make(name, np.repeat(np.arange(50), n // 50).tolist()) for n in (1000, 100_000))
    assert abs(len(few.batch(0).items) - len(many.batch(0).items)) <= 5  # a repeated draw is held once
    assert many.batch(3).items.max() < 100_000
