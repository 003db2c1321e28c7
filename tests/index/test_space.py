"""A space of its own for the outlier score: kept beside the embeddings through every change, and exact."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from nearkin.contracts import Embedded
from nearkin.errors import DamagedError, IndexCallError
from nearkin.index import Index, load
from nearkin.index.space import Space

LABELS = ("a", "b")
SPACE = Space("two features and one", (2, 1))


def some(label: str, n: int, seed: int) -> Embedded:
    """n items: embeddings that tell a from b, and a space in which both lie around 0, the second feature widely."""
    rng = np.random.default_rng([seed, LABELS.index(label) if label in LABELS else 9])
    vectors = rng.normal(size=(n, 3)) + [8.0 * (label == "b"), 0, 0]
    space = rng.normal(size=(n, 3)) * [1, 100, 0.01]
    return Embedded(vectors.astype(np.float32), space=space.astype(np.float32))


def make(space: Space | None = SPACE, **settings: Any) -> Index:
    index = Index(**{"metric": "l2", "class_rule": "nearest", "dim": 3, "space": space, **settings})
    for label in LABELS:
        index.add(some(label, 10, 0), [label] * 10)
    for label in LABELS:
        index.calibrate(some(label, 19, 1), [label] * 19)
    return index


def placed(index: Index, space: Any) -> Any:
    """As scores compare them, in plain numpy."""
    held = np.asarray(index.references.space, dtype=np.float64)
    return (space - held.mean(axis=0)) / held.std(axis=0) / np.sqrt([2, 2, 1])


def test_the_score_is_the_distance_in_the_standardised_space() -> None:
    index, asked = make(), some("a", 7, 2)
    apart = cdist(placed(index, asked.space), placed(index, index.references.space))
    answers = index.query(asked)
    np.testing.assert_allclose([answer.score for answer in answers], apart.min(axis=1), rtol=1e-4)
    own = np.array([label == "b" for label in index.references.labels])
    items = np.array([label == "b" for label in index._state.calibration.labels])
    stored = cdist(placed(index, index._state.calibration.space[items]), placed(index, index.references.space[own]))
    scores = apart[:, own].min(axis=1)
    p = [(1 + (stored.min(axis=1) >= score).sum()) / 20 for score in scores]
    np.testing.assert_allclose([answer.p_values["b"] for answer in answers], p)


@pytest.mark.parametrize("metric", ["l1", "l2", "cosine"])
@pytest.mark.parametrize("score", ["knn", "prototype", "mahalanobis", "lof"])
def test_a_query_scores_the_same_alone_or_among_others(score: str, metric: Any) -> None:
    index, asked = make(Space("features", (3,), metric), score=score), some("b", 5, 3)
    alone = [index.query(asked.rows(slice(row, row + 1)))[0] for row in range(5)]
    together = index.query(asked)
    np.testing.assert_allclose([a.score for a in alone], [a.score for a in together], rtol=1e-5)
    assert [a.p_values for a in alone] == [a.p_values for a in together]


def test_label_and_distances_are_the_embeddings_alone() -> None:
    asked = some("b", 9, 4)
    with_space, without = make().query(asked), make(None).query(asked)
    assert [(a.label, a.distances, a.neighbors) for a in with_space] == [
        (a.label, a.distances, a.neighbors) for a in without
    ]


def test_an_unknown_that_the_embedding_cannot_tell_is_told_by_the_space() -> None:
    rng = np.random.default_rng(5)
    planted = Embedded(some("a", 40, 5).vectors, space=(rng.normal(size=(40, 3)) + [9, 0, 0]).astype(np.float32))
    assert np.mean([answer.status == "unknown" for answer in make().query(planted)]) > 0.9
    assert np.mean([answer.status == "unknown" for answer in make(None).query(planted)]) < 0.3


def test_known_images_are_flagged_as_promised() -> None:
    shares = []
    for draw in range(30):
        index = Index(metric="l2", class_rule="nearest", dim=3, space=SPACE)
        index.add(some("a", 10, 10 + draw), ["a"] * 10)
        index.calibrate(some("a", 19, 1000 + draw), ["a"] * 19)
        shares.append(np.mean([a.p_values["a"] <= 0.1 for a in index.query(some("a", 30, 2000 + draw))]))
    assert abs(np.mean(shares) - 0.10) < 4 * np.sqrt(0.09 * (1 / 21 + 1 / 30) / 30)


@pytest.mark.parametrize("call", ["query", "add", "calibrate", "alpha_table"])
def test_embeddings_without_their_place_in_the_space_are_refused(call: str) -> None:
    index, given = make(), some("a", 2, 6).vectors
    arguments = {"add": [["a"] * 2], "calibrate": [["a"] * 2]}.get(call, [])
    before = index.history
    with pytest.raises(IndexCallError, match=r"of its own \(two features and one, 3 dimensions\).*run\.model\.embed"):
        getattr(index, call)(given, *arguments)
    assert index.history == before


@pytest.mark.parametrize(
    ("space", "problem"),
    [
        (np.zeros((2, 2), np.float32), "2 x 2 numbers for 2 embeddings; .* has 3 dimensions"),
        (np.zeros((3, 3), np.float32), "Embedded.space: 3 given for 2 rows of vectors; one each"),
        (np.full((2, 3), np.nan, np.float32), "space: rows 0, 1 of the embeddings hold NaN"),
    ],
)
def test_places_that_cannot_be_are_refused(space: Any, problem: str) -> None:
    with pytest.raises(IndexCallError, match=problem):
        make().query(Embedded(np.zeros((2, 3), np.float32), space=space))


def test_it_survives_disk_and_every_change(tmp_path: Path) -> None:
    index, asked = make(), some("a", 6, 7)
    index.save(tmp_path / "first")
    opened = load(tmp_path / "first")
    assert [a.as_dict() for a in opened.query(asked)] == [a.as_dict() for a in index.query(asked)]
    assert opened.settings == index.settings

    ids = opened.add(some("c", 10, 8), ["c"] * 10)
    opened.remove(ids=ids[:5])
    opened.relabel("d", labels="c")
    assert "references changed" in opened.promise.uncalibrated["a"]  # standardised anew, so all are stale
    opened.recalibrate()
    opened.save(tmp_path / "second")
    last = load(tmp_path / "second")
    assert last.references.space is not None
    np.testing.assert_array_equal(last.references.space[-5:], some("c", 10, 8).space[5:])
    assert [a.as_dict() for a in last.query(asked)] == [a.as_dict() for a in opened.query(asked)]
    assert not [check.problem for check in last.verify() if check.problem]


def test_not_standardised_only_the_changed_class_is_stale() -> None:
    index = make(Space("features", (3,), standardize=False))
    index.add(some("b", 1, 9), ["b"])
    assert set(index.promise.uncalibrated) == {"b"}


def test_a_dimension_that_never_varies_spoils_nothing() -> None:
    index = Index(metric="l2", class_rule="nearest", dim=1, space=Space("constant", (2,)))
    rows = np.array([[5.0, 0], [5, 1], [5, 2]], np.float32)
    index.add(Embedded(rows[:, 1:], space=rows), ["a"] * 3)
    assert index.query(Embedded(rows[:1, 1:], space=rows[:1]))[0].score == 0


def test_merging_wants_the_same_space_and_keeps_it() -> None:
    ours, theirs = make(), make()
    with pytest.raises(IndexCallError, match="its outlier score looks at the embedding itself, and this one's at two"):
        ours.merge(make(None))
    ours.remove(labels="b")
    theirs.remove(labels="a")
    ours.merge(theirs, keep_calibration=False, renumber=True)
    held, both = ours.references.space, make().references.space
    assert held is not None
    assert both is not None
    np.testing.assert_array_equal(np.sort(held, axis=0), np.sort(both, axis=0))


@pytest.mark.parametrize("ending", ["npz", "parquet"])
def test_export_takes_it_along(tmp_path: Path, ending: str) -> None:
    index = make()
    index.export(tmp_path / f"x.{ending}")
    if ending == "npz":
        found: Any = np.load(tmp_path / "x.npz")["space"]
    else:
        parquet = pytest.importorskip("pyarrow.parquet")
        found = np.stack(parquet.read_table(tmp_path / "x.parquet")["space"].to_pylist())
    np.testing.assert_array_equal(found, index.references.space)


def test_reembedding_makes_both_anew() -> None:
    def embed(images: Any) -> Embedded:
        vectors = np.array([[float(x) for x in image.split(",")] for image in images], dtype=np.float32)
        return Embedded(vectors, tuple(images), tuple(images), vectors[:, :2] * 3)

    target = Index(metric="l2", class_rule="nearest", dim=3, space=Space("other", (2,)), embed=embed, model_digest="m")
    index = Index(metric="l2", class_rule="nearest", dim=3)
    index.add(np.eye(3, dtype=np.float32), ["a", "a", "b"])
    index.reembed(target, {row: f"{row},1,0" for row in range(3)})
    np.testing.assert_array_equal(index.references.space, [[0, 3], [3, 3], [6, 3]])
    assert index.query("1,1,0").score == 0


def test_a_file_whose_space_is_not_that_of_its_settings_is_damaged(tmp_path: Path) -> None:
    from nearkin.files import read_manifest, write_manifest
    from nearkin.index.storage import FORMAT, VERSION

    make().save(tmp_path / "x")
    body = read_manifest(tmp_path / "x", format_name=FORMAT, version=VERSION)
    body["meta"]["space"]["dims"] = [2, 2]
    write_manifest(tmp_path / "x", body)
    with pytest.raises(DamagedError, match="references"):
        load(tmp_path / "x")


def test_an_index_without_a_space_is_written_as_before(tmp_path: Path) -> None:
    make(None).save(tmp_path / "x")
    assert "space" not in (tmp_path / "x" / "manifest.json").read_text()
    assert make(None).references.space is None


def test_distances_and_an_empty_question_need_no_place_in_the_space() -> None:
    index = make()
    assert index.query([]) == []
    assert len(index.range(some("a", 2, 12).vectors, 100.0)) == 2


@pytest.mark.parametrize("wrong", [{"vectors": np.zeros(3, np.float32)}, {"space": "x"}, {"space": [[1.0, 2.0, 3.0]]}])
def test_an_embedded_that_is_no_rows_is_refused(wrong: Any) -> None:
    given: Any = {"vectors": np.zeros((1, 3), np.float32), "space": np.zeros((1, 3), np.float32), **wrong}
    with pytest.raises(IndexCallError, match=r"Embedded\.(vectors|space): it is a float array of two dimensions"):
        make().query(Embedded(**given))


def test_a_space_that_is_none_is_refused() -> None:
    with pytest.raises(IndexCallError, match="space 'features': give a Space"):
        Index(metric="l2", class_rule="nearest", dim=3, space="features")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong",
    [{"standardize": "no"}, {"name": ""}, {"dims": ()}, {"dims": (0,)}, {"dims": (2.0,)}, {"metric": "l3"}],
    ids=str,
)
def test_a_space_that_cannot_be_is_refused(wrong: Any) -> None:
    with pytest.raises(IndexCallError, match="space: "):
        Space(**{"name": "x", "dims": (2,), **wrong})


def test_a_filter_scores_against_all_references() -> None:
    index, asked = make(), some("a", 4, 11)
    whole, part = index.query(asked), index.query(asked, where={"label": "a"})
    assert [a.p_values["a"] for a in whole] == [a.p_values["a"] for a in part]


def test_references_calibrate_each_other_in_a_space_that_is_not_standardised_alone(tmp_path: Path) -> None:
    with pytest.raises(IndexCallError, match=r"standardised on the references.*standardize: false"):
        make().calibrate_on_references()
    index = make(Space("features", (3,), "l1", standardize=False)).calibrate_on_references()
    held, own = index.references.space, np.array([label == "a" for label in index.references.labels])
    assert held is not None
    apart = cdist(held[own], held[own], "cityblock")
    np.fill_diagonal(apart, np.inf)
    asked = some("a", 5, 12)
    far = cdist(asked.space, held[own], "cityblock").min(axis=1)
    p = [(1 + (apart.min(axis=1) >= one).sum()) / 11 for one in far]
    index.save(tmp_path / "x")
    for opened in (index, load(tmp_path / "x").recalibrate()):
        np.testing.assert_allclose([answer.p_values["a"] for answer in opened.query(asked)], p)
        assert opened.promise.way == "leave_one_group_out"
        assert not [check.problem for check in opened.verify() if check.problem]
