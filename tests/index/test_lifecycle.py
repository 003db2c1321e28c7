"""Claims about classes that come and go: relabelled, merged, embedded again; ids stay, promises never outlive them."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nearkin.contracts import Embedded
from nearkin.errors import IndexCallError
from nearkin.index import Index, load

Draw = Callable[..., Any]


def plain(**settings: Any) -> Index:
    return Index(**{"metric": "l1", "class_rule": "nearest", "dim": 3, **settings})


# ------------------------------------------------------------------------------------------------- relabel


def test_a_class_under_a_new_name_keeps_its_calibration(make: Callable[..., Index], draw: Draw) -> None:
    index, queries = make(), draw("a", 20, 60)
    before = index.query(queries)
    assert index.relabel("covid", labels="a") == 10
    assert index.labels == ("b", "c", "covid")
    after = index.query(queries)
    assert [answer.status for answer in after] == [answer.status for answer in before]
    assert [answer.p_values["covid"] for answer in after] == [answer.p_values["a"] for answer in before]
    assert index.promise.stale == ()
    assert index.promise.groups == {"b": 20, "c": 20, "covid": 20}


def test_a_class_of_groups_answers_the_same_under_any_name_until_it_is_calibrated_anew(
    make: Callable[..., Index], draw: Draw, tmp_path: Path
) -> None:
    groups, queries = [f"p{i // 5}" for i in range(100)], draw("a", 40, 60)
    index = make({}).calibrate(draw("a", 100, 100), ["a"] * 100, groups=groups)
    before = [answer.p_values["a"] for answer in index.query(queries)]
    for name in ("covid", "x", "a2"):
        index.relabel(
            name, labels=index.labels[[len(label) > 1 or label in "ax" for label in index.labels].index(True)]
        )
        index.save(tmp_path / "i")
        index = load(tmp_path / "i")
        assert [answer.p_values[name] for answer in index.query(queries)] == before
        assert [answer.p_values[name] for answer in index.recalibrate().query(queries)] == before
    anew = make({})
    anew.relabel("a2", labels="a")
    for one in (index, anew):
        one.calibrate(draw("a", 100, 100), ["a2"] * 100, groups=groups)
    assert index.query(queries) == anew.query(queries)


def test_two_classes_made_one_are_calibrated_on_the_items_of_both_once_that_is_asked(
    make: Callable[..., Index],
) -> None:
    index = make()
    assert index.relabel("b", labels=["a", "b"]) == 10
    assert index.labels == ("b", "c")
    assert index.promise.stale == ("b",)
    assert index.recalibrate().promise.groups == {"b": 40, "c": 20}
    assert index.promise.stale == ()


def test_relabelling_single_references_makes_both_classes_stale(make: Callable[..., Index]) -> None:
    index = make()
    assert index.relabel("b", ids=[3, 4]) == 2
    assert index.promise.stale == ("a", "b")
    assert index.relabel("c", groups="c patient 1") == 0
    assert index.relabel("new", groups=["c patient 1", "a patient 0"]) == 2
    assert index.references.ids.tolist() == list(range(30))
    assert index.promise.uncalibrated["new"] == "none given"
    assert index.promise.groups == {"a": 20, "b": 20, "c": 20}


def test_relabelling_to_the_same_label_changes_nothing(make: Callable[..., Index]) -> None:
    index = make()
    before = index.history
    assert index.relabel("a", labels="a") == 0
    assert index.promise.stale == ()
    assert index.history == before


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"to": "x"}, "exactly one of"),
        ({"to": "x", "ids": 1, "labels": "a"}, "exactly one of"),
        ({"to": 7, "labels": "a"}, "7 at 0"),
        ({"to": "", "labels": "a"}, "a class has a name"),
        ({"to": "x", "labels": "aa"}, "Did you mean 'a'"),
    ],
)
def test_a_relabelling_that_cannot_be_meant_is_refused(
    asked: dict[str, Any], said: str, make: Callable[..., Index]
) -> None:
    with pytest.raises(IndexCallError, match=said):
        make().relabel(**asked)


# --------------------------------------------------------------------------------------------------- merge


def halves(make: Callable[..., Index]) -> tuple[Index, Index, Index]:
    """An index, and the same one in two parts with ids as in the whole."""
    whole, left, right = make({}), make({}), make({})
    left.remove(ids=range(15, 30))
    right.remove(ids=range(15))
    return whole, left, right


def test_two_parts_merged_answer_as_the_whole(make: Callable[..., Index], draw: Draw) -> None:
    whole, left, right = halves(make)
    moved = left.merge(right)
    assert moved == {i: i for i in range(15, 30)}
    queries = np.concatenate([draw(label, 10, 70) for label in "abc"])
    assert left.query(queries) == whole.query(queries)
    assert left.references.groups == whole.references.groups
    assert left.add(draw("a", 1, 5), ["a"]) == [30]


def test_clashing_ids_are_refused_or_renumbered_and_never_given_again(make: Callable[..., Index], draw: Draw) -> None:
    index, other = make({}), make({})
    other.remove(ids=range(5))
    with pytest.raises(
        IndexCallError,
        match=r"both hold the ids 5, 6, .* and 15 more\..*merge --renumber'.*merge\(other, renumber=True",
    ):
        index.merge(other)
    assert len(index) == 30
    moved = index.merge(other, renumber=True)
    assert moved == dict(zip(range(5, 30), range(30, 55), strict=True))
    assert index.references.labels[30:] == other.references.labels
    third = plain()
    third.add(draw("a", 1, 0), ["a"], ids=[90])
    third.remove(ids=90)
    third.add(draw("a", 1, 1), ["a"], ids=[70])
    index.merge(third)
    assert index.add(draw("a", 1, 2), ["a"]) == [91]


def test_calibration_items_of_both_are_kept_once(make: Callable[..., Index], draw: Draw) -> None:
    index, other = make({"a": 12}), plain()
    other.add(draw("b", 4, 90), ["b"] * 4)
    other.add(draw("a", 4, 91), ["a"] * 4)
    other.calibrate(draw("a", 12, 100), ["a"] * 12)  # the items that `make` calibrates on
    other.calibrate(draw("b", 9, 300), ["b"] * 9)
    index.merge(other, renumber=True)
    assert index.promise.groups == {"a": 12, "b": 9}
    assert set(index.promise.stale) == {"a", "b"}
    assert index.recalibrate().promise.stale == ()


def test_calibration_items_that_are_references_of_the_other_are_refused(make: Callable[..., Index], draw: Draw) -> None:
    index, other = make({"a": 12}), plain()
    other.add(draw("a", 12, 100)[:2], ["a"] * 2)
    with pytest.raises(IndexCallError, match="have the embedding of a reference: item 0, item 1"):
        index.merge(other, renumber=True)
    assert len(index) == 30
    index.merge(other, renumber=True, keep_calibration=False)
    assert (len(index), index.promise.groups) == (32, {})


def test_a_calibration_item_under_two_labels_is_refused(make: Callable[..., Index], draw: Draw) -> None:
    index, other = make({"a": 12}), make({})
    other.calibrate(draw("a", 12, 100), ["b"] * 12, sources=[f"{i}.png" for i in range(12)])
    with pytest.raises(IndexCallError, match=r"two labels: item 0 \(0.png\) \('b' there, 'a' here\)"):
        index.merge(other, renumber=True)


def test_what_trained_either_stays_refused(make: Callable[..., Index], draw: Draw) -> None:
    index, other = make({}), plain(trained_digests=frozenset({"d"}))
    other.add(draw("b", 1, 50), ["b"], groups=["trained patient"], trained=True)
    other.remove(ids=0)
    index.merge(other)
    with pytest.raises(IndexCallError, match="trained the model"):
        index.calibrate(draw("b", 1, 8), ["b"], digests=["d"])
    with pytest.raises(IndexCallError, match="of a group that trained"):
        index.calibrate(draw("b", 1, 8), ["b"], groups=["trained patient"])


@pytest.mark.parametrize(
    ("settings_", "said"),
    [
        ({"metric": "l2"}, "metric 'l2' does not go with 'l1'"),
        ({"class_rule": "prototype"}, "class_rule 'prototype'"),
        ({"dim": 4}, "dim 4"),
        ({"model_digest": "other"}, "of another model"),
    ],
)
def test_indexes_that_do_not_belong_together_are_not_merged(
    settings_: dict[str, Any], said: str, make: Callable[..., Index]
) -> None:
    with pytest.raises(IndexCallError, match=said):
        make().merge(plain(**settings_))


@given(st.integers(0, 30), st.integers(0, 2**31))
@settings(deadline=None, max_examples=15)
def test_merging_is_adding(cut: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(30, 3)).astype(np.float32)
    labels = [str(label) for label in rng.integers(0, 3, 30)]
    together, first, second = plain(), plain(), plain()
    together.add(vectors, labels)
    first.add(vectors[:cut], labels[:cut])
    second.add(vectors[cut:], labels[cut:], ids=range(cut, 30))
    first.merge(second)
    queries = rng.normal(size=(5, 3)).astype(np.float32)
    assert first.query(queries) == together.query(queries)


# -------------------------------------------------------------------------------------------------- reembed


def images(folder: Path, *texts: str) -> list[str]:
    """Files that hold an image each: three numbers."""
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{text}.txt" for text in texts]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
    return [path.name for path in paths]


class Reader:
    """A model of files: embeds the numbers in them times `scale`, into `dim` numbers."""

    def __init__(self, folder: Path, scale: float = 1, dim: int = 3) -> None:
        self.folder, self.scale, self.dim = folder, scale, dim

    def __call__(self, given: Any) -> Embedded:
        texts = [(self.folder / path).read_text() if isinstance(path, (str, Path)) else path["text"] for path in given]
        rows = np.array([[float(x) for x in text.split(",")][: self.dim] for text in texts], np.float32)
        return Embedded(rows * self.scale, tuple(f"d {text}" for text in texts), tuple(map(str, given)))


@pytest.fixture
def files(tmp_path: Path) -> Path:
    return tmp_path / "images"


@pytest.fixture
def old(files: Path) -> Index:
    index = plain(embed=Reader(files), model_digest="old", trained_digests=frozenset({"d 0,0,1"}))
    index.add(images(files, "0,0,1", "1,0,1", "9,0,1"), ["a", "a", "b"], ids=[4, 7, 9], groups=["p", "q", "r"])
    index.calibrate(images(files, *(f"{i}.5,3,1" for i in range(9))), ["a"] * 9)
    return index


def new_model(files: Path, **settings: Any) -> Index:
    reader = Reader(files, scale=10, dim=2)
    return Index(metric="l2", class_rule="prototype", dim=2, embed=reader, model_digest="new", **settings)


def test_embedding_again_keeps_ids_labels_and_groups_and_takes_the_other_models_ways(files: Path, old: Index) -> None:
    other = new_model(files, trained_digests=frozenset({"d 9,0,1"}))
    assert old.reembed(other, root=files) is old
    assert old.references.ids.tolist() == [4, 7, 9]
    assert old.references.labels == ("a", "a", "b")
    assert old.references.groups == ("p", "q", "r")
    assert old.references.vectors.tolist() == [[0, 0], [10, 0], [90, 0]]
    assert old.references.trained.tolist() == [False, False, True]
    assert (old.metric, old.model_digest) == ("l2", "new")
    assert old.promise.groups == {"a": 9}
    assert old.promise.stale == ()
    anew = new_model(files)
    anew.add([str(path) for path in ("0,0,1.txt", "1,0,1.txt", "9,0,1.txt")], ["a", "a", "b"], ids=[4, 7, 9])
    anew.calibrate([f"{i}.5,3,1.txt" for i in range(9)], ["a"] * 9)
    answer, expected = old.query("1,0,1.txt"), anew.query("1,0,1.txt")
    assert (answer.p_values, answer.distances, answer.status) == (
        expected.p_values,
        expected.distances,
        expected.status,
    )


def test_images_may_be_given_by_id(files: Path, old: Index) -> None:
    (files / "0,0,1.txt").unlink()
    with pytest.raises(IndexCallError, match=r"no image can be read of reference 4 \(0,0,1.txt\)\. Pass root="):
        old.reembed(new_model(files), root=files)
    assert old.model_digest == "old"
    old.reembed(new_model(files), {4: {"text": "0,0,1"}}, root=files)
    assert old.references.vectors.tolist() == [[0, 0], [10, 0], [90, 0]]
    with pytest.raises(IndexCallError, match="images: the index holds no 5"):
        old.reembed(new_model(files), {5: {"text": "0,0,1"}}, root=files)


def test_an_image_that_is_another_one_now_is_refused(files: Path, old: Index) -> None:
    (files / "9,0,1.txt").write_text("8,0,1")
    with pytest.raises(IndexCallError, match=r"another image now .* reference 9 \(9,0,1.txt\)"):
        old.reembed(new_model(files), root=files)


def test_calibration_items_that_the_other_model_trained_on_are_refused(files: Path, old: Index) -> None:
    other = new_model(files, trained_digests=frozenset({"d 3.5,3,1"}))
    with pytest.raises(IndexCallError, match=r"trained the model: item 3 \(3.5,3,1.txt\)"):
        old.reembed(other, root=files)
    old.reembed(other, root=files, keep_calibration=False)
    assert old.promise.groups == {}


def test_what_was_given_as_embeddings_cannot_be_embedded_again(files: Path, old: Index) -> None:
    old.add(np.ones((1, 3), np.float32), ["b"])
    with pytest.raises(IndexCallError, match=r"no image can be read of reference 10 \(embedding\)"):
        old.reembed(new_model(files), root=files)
    with pytest.raises(IndexCallError, match="the other index has no model"):
        old.reembed(plain(), root=files)


def test_what_is_no_index_is_neither_merged_nor_taken_as_a_model(make: Callable[..., Index]) -> None:
    for call in ("merge", "reembed"):
        with pytest.raises(IndexCallError, match=f"{call}: takes an Index, not str: run.index, or load_index"):
            getattr(make(), call)("other.index")


# ---------------------------------------------------------------------------------------------------- ids


@given(st.lists(st.sampled_from(["add", "remove", "merge", "relabel", "disk"]), max_size=12), st.integers(0, 2**31))
@settings(deadline=None, max_examples=15)
def test_no_id_is_ever_given_to_two_images(steps: list[str], seed: int) -> None:
    import tempfile

    rng, index, given_ = np.random.default_rng(seed), plain(), []

    def some() -> Any:
        return rng.normal(size=(2, 3)).astype(np.float32)

    for step in ["add", *steps]:
        if step == "add":
            given_ += index.add(some(), ["a", "b"])
        elif step == "remove" and len(index):
            index.remove(ids=index.references.ids[-1:].tolist())
        elif step == "merge":
            other = plain()
            other.add(some(), ["a", "c"])
            given_ += index.merge(other, renumber=True).values()
        elif step == "relabel" and "a" in index.labels:
            index.relabel("d", labels="a")
        elif step == "disk":
            with tempfile.TemporaryDirectory() as folder:
                index.save(folder)
                index = load(folder)
    assert len(set(given_)) == len(given_)
    assert set(index.references.ids.tolist()) <= set(given_)


def test_an_index_can_be_copied_and_pickled(make: Callable[..., Index], draw: Draw) -> None:
    index, queries = make(), draw("b", 3, 4)
    index.query(queries)
    for again in (copy.deepcopy(index), pickle.loads(pickle.dumps(index))):
        assert again.query(queries) == index.query(queries)
        again.add(draw("a", 1, 9), ["a"])
        assert (len(again), len(index)) == (31, 30)


def test_named_alphas_outlive_another_model(files: Path, old: Index) -> None:
    index = plain(embed=Reader(files), operating_points={"triage": 0.05})
    index.add(["0,0,1.txt"], ["a"])
    index.reembed(new_model(files, operating_points={"triage": 0.3, "screening": 0.2}), root=files)
    assert index.operating_points == {"triage": 0.05}


def test_a_call_whose_images_were_embedded_by_the_model_before_changes_nothing(files: Path, old: Index) -> None:
    other, reader = new_model(files), Reader(files)

    def meanwhile(given: Any) -> Embedded:
        old.reembed(other, root=files)
        return reader(given)

    images(files, "5,0,1")
    link = old._state.model
    for call in (
        lambda: old.add(["5,0,1.txt"], ["a"]),
        lambda: old.calibrate(["5,0,1.txt"], ["a"]),
        lambda: old.remember_trained(["5,0,1.txt"]),
    ):
        old._state = replace(old._state, model=replace(link, embed=meanwhile))
        with pytest.raises(IndexCallError, match="embedded anew with another model"):
            call()
        assert len(old) == 3
