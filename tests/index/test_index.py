"""Claims about adding, removing and asking: what is taken, what is refused, and how it is said."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nearkin.contracts import Embedded
from nearkin.errors import IndexCallError
from nearkin.index import Index

Draw = Callable[..., Any]
ONE = Embedded(np.zeros((1, 3), np.float32))


def plain(**settings: Any) -> Index:
    return Index(**{"metric": "l1", "class_rule": "nearest", "dim": 3, **settings})


# ------------------------------------------------------------------------------------------------ settings


@pytest.mark.parametrize(
    ("settings_", "said"),
    [
        ({"metric": "euclid"}, "one of l1, l2, cosine"),
        ({"class_rule": "mean"}, "one of nearest, prototype, attention"),
        ({"class_rule": "attention"}, "Use metric='cosine'"),
        ({"dim": 0}, "dim 0"),
        ({"score": {"type": "knn", "k": 0}}, "score 'knn': option k: "),
        ({"alpha": 0.0}, "alpha 0.0"),
        ({"alpha": 1.0}, "alpha 1.0"),
        ({"alpha": float("nan")}, "alpha nan"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(settings_: dict[str, Any], said: str) -> None:
    with pytest.raises(IndexCallError, match=said):
        plain(**settings_)


# -------------------------------------------------------------------------------------------------- adding


def test_ids_count_up_and_are_never_given_twice(draw: Draw) -> None:
    index = plain()
    assert index.add(draw("a", 3, 0), ["a"] * 3) == [0, 1, 2]
    assert index.add(draw("a", 2, 1), ["a", "b"], ids=[9, 5]) == [9, 5]
    index.remove(ids=9)
    assert index.add(draw("a", 1, 2)[0], "a") == [10]
    assert index.references.ids.tolist() == [0, 1, 2, 5, 10]
    assert index.references.labels == ("a", "a", "a", "b", "a")
    index.remove(ids=10)
    assert index.add(draw("a", 1, 3), ["a"], ids=[3]) == [3]
    assert index.add(draw("a", 1, 4), ["a"]) == [11]


def test_labels_stay_text_as_written(draw: Draw) -> None:
    index = plain()
    index.add(draw("a", 3, 0), np.array(["007", "7", " 7"]))
    assert index.labels == (" 7", "007", "7")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"labels": ["a"]}, "labels: 1 given for 2 items"),
        ({"labels": "ab"}, "not a list of 2 texts"),
        ({"labels": [7, "a"]}, "labels are text as written, but there is 7 at 0"),
        ({"groups": ["p", 3]}, "groups are text as written, but there is 3 at 1"),
        ({"groups": ["p"]}, "groups: 1 given for 2 items"),
        ({"sources": ["p"]}, "sources: 1 given for 2 items"),
        ({"digests": ["p"]}, "digests: 1 given for 2 items"),
        ({"labels": ["a", " "]}, "labels: a class has a name, and there is none at 1"),
        ({"trained": [True]}, "trained: 1 given for 2 items"),
        ({"trained": 1}, "trained: is True or False, or a list of them, but there is 1, 1"),
        ({"reviewed": ["no", True]}, "reviewed: is True or False, or a list of them, but there is 'no'"),
        ({"ids": [3, 3]}, "ids: 3 is given twice"),
        ({"ids": [-1, 3]}, "ids: -1 is below 0"),
        ({"ids": [2**63, 3]}, r"above 2\^63 - 1"),
        ({"ids": [0, 3]}, "ids: 0 is in the index already"),
        ({"ids": [5]}, "ids: 1 given for 2 items"),
        ({"ids": [1.0, 2.0]}, "ids are whole numbers, but there is 1.0, 2.0"),
        ({"ids": 1.5}, "ids are whole numbers, but there is 1.5"),
    ],
)
def test_what_does_not_go_with_the_rows_is_refused_and_nothing_added(
    change: dict[str, Any], said: str, draw: Draw
) -> None:
    index = plain()
    index.add(draw("a", 1, 0), ["a"])
    with pytest.raises(IndexCallError, match=said):
        index.add(draw("a", 2, 1), **{"labels": ["a", "b"], **change})
    assert len(index) == 1


def test_all_problems_are_named_at_once() -> None:
    vectors = np.ones((4, 3), np.float32)
    vectors[1], vectors[2], vectors[3] = np.nan, np.inf, 1e20
    with pytest.raises(IndexCallError) as error:
        plain().add(vectors, ["a", 7, "b"], ids=[1, 1, 2, 3])
    said = str(error.value)
    vectors_said = ("rows 1, 2 of the embeddings hold NaN", "row 3 of the embeddings holds numbers beyond")
    for part in (*vectors_said, "labels: 3 given", "7 at 1", "1 is given twice"):
        assert part in said


def test_a_zero_vector_is_refused_under_cosine_alone() -> None:
    zeros = np.zeros((1, 3), np.float32)
    plain().add(zeros, ["a"])
    with pytest.raises(IndexCallError, match="row 0 of the embeddings holds nothing but zeros"):
        plain(metric="cosine").add(zeros, ["a"])


def test_what_the_caller_changes_later_does_not_reach_the_index(draw: Draw) -> None:
    vectors = draw("a", 2, 0)
    index = plain()
    index.add(vectors, ["a", "b"])
    vectors[:] = 99
    assert index.references.vectors.max() < 99
    with pytest.raises(ValueError, match="read-only"):
        index.references.vectors[0] = 0


# ------------------------------------------------------------------------------------------------ removing


def test_removing_says_how_many_went(make: Callable[..., Index]) -> None:
    index = make()
    assert index.remove(ids=[0, 1]) == 2
    assert index.remove(labels="b") == 10
    assert index.remove(groups=["a patient 2", "c patient 0"]) == 2
    assert len(index) == 16
    assert index.faiss.ntotal == 16


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"ids": [3, 77, 78]}, "the index holds no 77, 78"),
        ({"labels": ["A", "aa"]}, "labels: the index holds no 'aa'. Did you mean 'a'"),
        ({"groups": ["a patient x"]}, "Did you mean 'a patient"),
        ({"groups": [""]}, "the index holds no ''"),
        ({}, "exactly one of"),
        ({"ids": [1], "labels": ["a"]}, "exactly one of"),
        ({"ids": 1.0}, "ids are whole numbers, but there is 1.0"),
        ({"ids": "3"}, "ids are whole numbers, but there is '3'"),
        ({"ids": [True, False]}, "ids are whole numbers, but there is True, False"),
        ({"ids": [[1]]}, r"ids are whole numbers, but there is \[1\]"),
        ({"labels": 3}, "labels are text as written, but there is 3"),
    ],
)
def test_removing_what_is_not_there_is_an_error(asked: dict[str, Any], said: str, make: Callable[..., Index]) -> None:
    index = make()
    with pytest.raises(IndexCallError, match=said):
        index.remove(**asked)
    assert len(index) == 30


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 2), st.integers(1, 4)), max_size=12), st.integers(0, 2**31))
@settings(deadline=None, max_examples=20)
def test_after_any_changes_answers_are_those_of_an_index_made_of_what_is_left(
    steps: list[tuple[bool, int, int]], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    index = plain()
    for adding, label, n in [(True, 0, 2), *steps]:
        if adding:
            index.add(rng.normal(size=(n, 3)).astype(np.float32), ["abc"[label]] * n)
        elif "abc"[label] in index.labels:
            index.remove(labels="abc"[label])
    if not len(index):
        return
    left, anew = index.references, plain()
    anew.add(left.vectors.copy(), left.labels, ids=left.ids.tolist())
    queries = rng.normal(size=(4, 3)).astype(np.float32)
    assert index.query(queries) == anew.query(queries)
    assert index.faiss.ntotal == len(index)


# -------------------------------------------------------------------------------------------------- asking


def test_one_in_gives_one_answer_and_a_list_gives_a_list(make: Callable[..., Index], draw: Draw) -> None:
    index = make()
    queries = draw("a", 3, 7)
    one = index.query(queries[0])
    assert index.query(queries)[0] == one
    assert index.query(list(queries))[0] == one
    assert index.query(queries[:1]) == [one]
    assert index.query(queries.astype(np.float64))[0] == one
    assert index.query([]) == []
    assert index.query(queries[:0]) == []


def test_tensors_are_taken_as_arrays_are(make: Callable[..., Index], draw: Draw) -> None:
    index, queries = make(), draw("a", 3, 7)
    tensor = torch.from_numpy(queries).requires_grad_()
    assert index.query(tensor) == index.query(queries)
    assert index.query(tensor[0]) == index.query(queries[0])
    assert index.query(list(tensor)) == index.query(queries)


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_half_tensors_are_taken_too(half: torch.dtype, make: Callable[..., Index], draw: Draw) -> None:
    index, queries = make(), torch.from_numpy(draw("a", 3, 7)).to(half)
    assert index.query(queries) == index.query(queries.float().numpy())
    assert index.query(list(queries)) == index.query(queries.float().numpy())


def test_what_goes_with_embeddings_may_be_arrays(draw: Draw) -> None:
    index, vectors = plain(), draw("a", 2, 0)
    given_ = Embedded(vectors, digests=np.array(["d", "e"]), sources=np.array(["x", "y"]))  # type: ignore[arg-type]
    index.add(given_, ["a", "b"])
    assert (index.references.digests[:], index.references.sources[:]) == (("d", "e"), ("x", "y"))
    assert index.query(given_.rows(slice(1, 2)))[0].label == "b"


def test_images_go_through_embed_with_their_digests_and_sources(embed: Any) -> None:
    index = plain(embed=embed, trained_digests=frozenset({"digest of 0,0,1"}))
    index.add(["0,0,1", "9,9,1"], ["a", "b"])
    assert index.references.sources == ("0,0,1", "9,9,1")
    assert index.references.trained.tolist() == [True, False]
    answer = index.query("1,0,1")
    assert (answer.label, answer.distance, answer.neighbors[0].source) == ("a", 1.0, "0,0,1")
    assert [a.label for a in index.query(["1,0,1", "8,9,1"])] == ["a", "b"]
    with pytest.raises(IndexCallError, match=r"are references of the index: item 0 \(9,9,1\)"):
        index.calibrate(["9,9,1"], ["b"])
    with pytest.raises(IndexCallError, match="images bring their own"):
        index.add(["1,1,1"], ["a"], digests=["d"])


@pytest.mark.parametrize("image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), [np.zeros((4, 4))]])
def test_arrays_that_are_no_embeddings_are_images(image: Any, make: Callable[..., Index]) -> None:
    with pytest.raises(IndexCallError, match="has no model, so it cannot take images"):
        make().query(image)


@pytest.mark.parametrize(
    ("queries", "said"),
    [
        (np.zeros((2, 4), np.float32), "embeddings of 4 dimensions; this index holds 3"),
        (np.array([[0, 0, 0], [0, np.nan, 0]], np.float32), "row 1 of the embeddings holds NaN"),
        ([np.zeros(3, np.float32), np.zeros(4, np.float32)], "different lengths in one list: 3, 4"),
        ([np.zeros(3, np.float32), "a.png"], "both images and embeddings"),
        ([0.0, 0.0, 1.0], "numbers in a list are no embedding"),
        (np.full(3, 1e300), "row 0 of the embeddings holds NaN or infinite"),
        ([np.zeros((2, 3)), np.zeros((5, 3))], r"of shape \(2, 3\), \(5, 3\) stands where an image is wanted"),
        (["a.png", torch.zeros(2, 3)], "numpy.concatenate joins several"),
        ((image for image in "ab"), r"a generator is neither .* give a list: list\(x\)"),
        (deque(["a.png"]), r"a deque is neither .* give a list: list\(x\)"),
        ({"a": "a.png"}, r"a dict is neither .* give a list: list\(x\.values\(\)\)"),
        (Embedded(np.zeros((2, 3), np.float32), digests=("d",)), "Embedded.digests: 1 given for 2 rows of vectors"),
        (Embedded(np.zeros((2, 3), np.float32), sources=("s",) * 3), "Embedded.sources: 3 given for 2 rows"),
        (Embedded(np.zeros((2, 3), np.float32), space=np.zeros((1, 4))), "Embedded.space: 1 given for 2 rows"),
        (Embedded(np.zeros((2, 3), np.float32), folds=(ONE,)), r"Embedded.folds\[0\]: 1 given for 2 rows"),
    ],
)
def test_queries_that_cannot_be_answered_are_refused(queries: Any, said: str, make: Callable[..., Index]) -> None:
    with pytest.raises(IndexCallError, match=said):
        make().query(queries)


@pytest.mark.parametrize("asked", [{"k": 0}, {"k": -1}, {"k": 1.5}, {"alpha": 0}, {"alpha": 1.0}, {"alpha": 7.0}])
def test_k_and_alpha_outside_their_range_are_refused(asked: dict[str, Any], make: Callable[..., Index]) -> None:
    with pytest.raises(IndexCallError, match=r"^(k|alpha) "):
        make().query(np.zeros(3, np.float32), **asked)


def test_an_empty_index_says_so() -> None:
    with pytest.raises(IndexCallError, match="holds no references yet"):
        plain().query(np.zeros(3, np.float32))
    with pytest.raises(IndexCallError, match="holds no references yet"):
        plain().calibrate(np.zeros((1, 3), np.float32), ["a"])


def test_k_beyond_the_references_gives_all_there_are(draw: Draw) -> None:
    index = plain()
    index.add(draw("a", 4, 0), list("aabb"))
    answer = index.query(draw("a", 1, 1)[0], k=100)
    assert len(answer.neighbors) == 4
    assert [n.distance for n in answer.neighbors] == sorted(n.distance for n in answer.neighbors)
    assert {n.id for n in answer.neighbors} == {0, 1, 2, 3}


def test_copies_of_one_embedding_are_references_of_their_own() -> None:
    index = plain()
    index.add(np.ones((3, 3), np.float32), list("aba"), ids=[7, 5, 6])
    answer = index.query(np.ones(3, np.float32))
    assert [(n.id, n.label, n.distance) for n in answer.neighbors] == [(5, "b", 0.0), (6, "a", 0.0), (7, "a", 0.0)]
    assert answer.label == "a"


def test_the_raw_faiss_index_holds_the_store(make: Callable[..., Index]) -> None:
    index = make()
    assert (index.faiss.ntotal, index.faiss.d) == (30, 3)
    np.testing.assert_array_equal(index.faiss.reconstruct(4), index.references.vectors[4])


def test_what_is_done_to_the_raw_faiss_index_does_not_change_answers(draw: Draw) -> None:
    index = plain()
    index.add(draw("a", 200, 0), ["a"] * 200)
    before = index._state.searcher.search(draw("a", 5, 1), 3)
    index.faiss.remove_ids(np.arange(190))
    after = index._state.searcher.search(draw("a", 5, 1), 3)
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
