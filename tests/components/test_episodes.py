"""Episodes: support and queries of the classes they say, disjoint, whatever is asked for."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nearkin.components.samplers.episodes import Episodes
from nearkin.components.samplers.options import EpisodesOptions
from nearkin.contracts import Build, Episode, parent_of
from nearkin.errors import DataError

CLASSES = tuple(f"{alphabet}/{letter}" for alphabet in ("greek", "latin") for letter in "abcdef")
LABELS = np.random.default_rng(0).permutation(np.repeat(np.arange(12), 7))


def episodes(seed: int = 0, **options: object) -> Episodes:
    return Episodes(EpisodesOptions.model_validate(options), Build(seed=seed, classes=CLASSES, labels=LABELS))


def episode(sampler: Episodes, step: int) -> tuple[np.ndarray, np.ndarray]:
    """Items of support and query."""
    batch = sampler.batch(step)
    assert isinstance(batch.structure, Episode)
    return batch.items[batch.structure.support], batch.items[batch.structure.query]


@settings(deadline=None, max_examples=100)
@given(
    seed=st.integers(0, 2**32),
    step=st.integers(0, 10**9),
    n_way=st.integers(2, 6),
    n_shot=st.integers(1, 5),
    n_query=st.integers(1, 2),
    within=st.sampled_from(["all", "parent"]),
)
def test_a_support_image_is_never_also_a_query_and_every_class_has_its_share(
    seed: int, step: int, n_way: int, n_shot: int, n_query: int, within: str
) -> None:
    sampler = episodes(seed, n_way=n_way, n_shot=n_shot, n_query=n_query, within=within)
    support, query = episode(sampler, step)
    assert not {*support.tolist()} & {*query.tolist()}
    assert len({*support.tolist(), *query.tolist()}) == n_way * (n_shot + n_query)
    assert Counter(LABELS[support].tolist()) == dict.fromkeys(set(LABELS[query].tolist()), n_shot)
    assert set(Counter(LABELS[query].tolist()).values()) == {n_query}
    if within == "parent":
        assert len({parent_of(CLASSES[code]) for code in LABELS[support]}) == 1


def test_every_class_comes_equally_often_where_a_parent_has_fewer_than_may_be_asked_for() -> None:
    classes = (*(f"greek/{letter}" for letter in "abc"), *(f"latin/{letter}" for letter in "abcdefghi"))
    labels = np.repeat(np.arange(12), 4)
    options = EpisodesOptions.model_validate({"n_way": (2, 9), "n_query": 1, "within": "parent"})
    sampler = Episodes(options, Build(seed=0, classes=classes, labels=labels))
    drawn = Counter(labels[item] for step in range(4000) for item in episode(sampler, step)[0].tolist())
    expected = sum(drawn.values()) / 12
    assert all(abs(count - expected) < 5 * expected**0.5 for count in drawn.values()), drawn


def test_every_class_and_every_image_has_its_turn_in_both_roles() -> None:
    sampler = episodes(n_way=3, n_shot=2, n_query=2)
    drawn = [episode(sampler, step) for step in range(700)]
    for role in (0, 1):
        counts = Counter(item for each in drawn for item in each[role].tolist())
        # 700 * 6 / 84 = 50 expected; five standard deviations.
        assert len(counts) == len(LABELS)
        assert all(15 < n < 85 for n in counts.values()), counts


def test_ways_and_shots_may_be_ranges_drawn_anew_for_each_episode() -> None:
    sampler = episodes(n_way=(2, 20), n_shot=(1, 4), n_query=3, within="parent")
    supports = [episode(sampler, step)[0] for step in range(300)]
    sizes = {(len(set(LABELS[support].tolist())), len(support)) for support in supports}
    assert {ways for ways, _ in sizes} == {2, 3, 4, 5, 6}
    assert {n // ways for ways, n in sizes} == {1, 2, 3, 4}


def test_a_class_that_is_too_small_is_named_with_has_needs_and_the_mend() -> None:
    with pytest.raises(DataError) as error:
        episodes(n_shot=5, n_query=5)
    assert "needs 10 training images of each class (5 support, 5 query); 'greek/a' has 7" in str(error.value)
    assert "Raise data.shots, add images, or take the class out of data.known." in str(error.value)


def test_too_few_classes_in_a_parent_are_told_by_name() -> None:
    with pytest.raises(DataError, match=r"needs 7 classes in an episode; 'greek' has 6, 'latin' has 6\. Lower"):
        episodes(n_way=7, within="parent")
    with pytest.raises(DataError, match=r"needs 13 classes in an episode; there are 12\. Lower"):
        episodes(n_way=13)


@pytest.mark.parametrize("wrong", [{"n_way": 1}, {"n_way": [5, 2]}, {"n_shot": 0}, {"n_shot": [1, 2, 3]}])
def test_options_that_cannot_be_meant_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        EpisodesOptions.model_validate_json(json.dumps(wrong))
