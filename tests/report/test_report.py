"""The report: one file that needs no other, holds every figure of the run, and takes no name for markup."""

from __future__ import annotations

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image

import nearkin
from nearkin.cli import run as command
from nearkin.contracts.figures import figure_text
from nearkin.errors import UsageError, WorkFailed
from nearkin.report import write_report
from nearkin.report.chart import MOST_POINTS, line_chart, thinned, ticks
from nearkin.report.images import _in_two
from nearkin.report.page import _remarks
from nearkin.training.watch import Watch

EVIL = '<script>alert("x")</script> & co'
RECIPE = """\
name: shown
data: {source: manifest, path: DATA/manifest.csv, known: ["a", EVIL], unknown: rest, shots: 3, select: 2, calibrate: 9}
backbone: {type: conv2, image_size: 16, width: 4, embedding_dim: 4}
method: {type: embedding}
loss: {type: contrastive}
sampler: {type: balanced_pairs, pairs: 4}
train: {steps: 4, early_stopping: {every: 1, target: 1.0}}
evaluate: [{type: clusters, resamples: 20}, {type: open_set, resamples: 20}, {type: n_way_exam, n_way: 500}]
"""
ALONE = "{type: conv2, image_size: 16, width: 4, embedding_dim: 4}"
BESIDE = "[{init_from: BASE}, {type: conv4, image_size: 20, width: 2}]"
VIEWS = ("model", "pixels", "untrained", "model - pixels", "model - untrained")


class Page(HTMLParser):
    """What a browser would be asked to load, and the text that it would show."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loads: list[str] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [str(value) for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> nearkin.Run:
    """On images of two classes and one that is unknown, one class named to break a page; with two backbones."""
    folder = tmp_path_factory.mktemp("report")
    rng = np.random.default_rng(0)
    lines = ["path,label"]
    for number, label in enumerate(("a", EVIL, "other")):
        for place in range(18):
            pixels = rng.integers(0, 120, (16, 16), dtype=np.uint8)
            pixels[4 * number : 4 * number + 6, 3:9] += 100
            name = f"{number}-{place}<b>.png"
            Image.fromarray(pixels).save(folder / name)
            quoted = label.replace('"', '""')
            lines.append(f'{name},"{quoted}"')
    (folder / "manifest.csv").write_text("\n".join(lines))
    recipe = RECIPE.replace("DATA", str(folder)).replace("EVIL", f"'{EVIL}'")
    (folder / "base.yaml").write_text(recipe.replace("name: shown", "name: base"))
    base = nearkin.train(folder / "base.yaml", runs=folder / "runs", watch=Watch())
    (folder / "recipe.yaml").write_text(recipe.replace(ALONE, BESIDE.replace("BASE", str(base.path))))
    made = nearkin.train(folder / "recipe.yaml", runs=folder / "runs", watch=Watch())
    nearkin.evaluate(made, watch=Watch())
    return nearkin.load_run(made.path)


@pytest.fixture(scope="module")
def written(run: nearkin.Run) -> Path:
    return write_report(run, run.path.parent / "report.html", maps=2, watch=Watch())


def test_it_is_one_file_that_loads_nothing_from_elsewhere(written: Path) -> None:
    page = Page(written)
    assert page.loads
    assert all(what.startswith("data:image/png;base64,") for what in page.loads)
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    assert "default-src 'none'" in written.read_text(encoding="utf-8")
    assert not re.search(r"url\(|@import", written.read_text(encoding="utf-8"))


def test_every_figure_stands_in_it_in_every_view(run: nearkin.Run, written: Path) -> None:
    text = Page(written).text
    figures = run.evaluations["figures"]
    assert {"clusters", "open_set", "n_way_exam"} == set(figures)
    for evaluator, by_view in figures.items():
        assert evaluator in text
        for view in VIEWS:
            for figure in by_view[view]:
                assert figure["name"] in text
                assert figure_text(figure) in text, (evaluator, view, figure["name"])
        counts = [f"{figure['n']} {figure['resampled']}" for figure in by_view["model"] if figure["n"]]
        assert all(count in text for count in counts)
        assert all(figure["note"] in text for figure in by_view["model"] if figure["value"] is None)


def test_it_names_every_backbone_and_what_it_began_with(run: nearkin.Run, written: Path) -> None:
    text = Page(written).text
    assert "backbone conv2 beside conv4." in text
    assert f"conv2 began with the backbone of {run.recipe.backbones[0].init_from[0]}." in text


def test_it_says_what_each_interval_resamples(written: Path) -> None:
    text = " ".join(Page(written).text.split())
    assert (
        "from resampling what the last column counts: images, groups of them (such as patients), or new classes" in text
    )
    assert "chanceresampled" in text.replace(" ", ""), "the last heading"


def test_intervals_over_episodes_and_over_classes_stand_beside_few_shot_figures() -> None:
    over = {
        "over_episodes": {"low": 0.48, "high": 0.52, "episodes": 600},
        "over_classes": {"low": 0.2, "high": 0.8, "classes": 3},
    }
    said = "over 600 episodes alone [0.480, 0.520]; over 3 classes alone [0.200, 0.800]."
    assert _remarks([{"name": "a", "value": 0.5, "details": over}]) == {said: ["a"]}


def test_names_are_text_and_never_markup(written: Path) -> None:
    raw, text = written.read_text(encoding="utf-8"), Page(written).text
    assert "<script>" not in raw
    assert "<b>" not in raw
    assert text.count(EVIL) >= 3, "in the confusion matrix, the key of the clusters and the recipe"


def test_recipe_promise_curve_clusters_maps_and_the_data_check_are_there(run: nearkin.Run, written: Path) -> None:
    page = Page(written)
    assert str(run.index.promise) in page.text
    assert "never reached" in page.text or "was reached after" in page.text
    assert "name: shown" in page.text
    assert page.tags.count("svg") == 3, "loss, score on select, clusters"
    assert page.tags.count("polyline") == 2
    assert page.tags.count("figcaption") == 2
    assert "is nearer than any other cluster" in page.text
    assert "by the rule of" in page.text
    assert page.tags.count("circle") + page.text.count("answered other") >= len(run.index.references)


def test_without_its_images_or_its_figures_it_says_so_and_shows_the_rest(run: nearkin.Run, tmp_path: Path) -> None:
    shutil.copytree(run.path, tmp_path / "run")
    shutil.copytree(run.path, tmp_path / "bare", ignore=shutil.ignore_patterns("evaluations"))
    away = run.path.parents[2] / "manifest.csv"
    text = away.read_text()
    away.unlink()
    try:
        assert command(["report", str(tmp_path / "run"), "-o", str(tmp_path / "r.html")]) == 0
        bare = Page(write_report(nearkin.load_run(tmp_path / "bare"), tmp_path / "b.html", watch=Watch()))
    finally:
        away.write_text(text)
    page = Page(tmp_path / "r.html")
    assert "Nothing of the images is shown" in page.text
    assert "cluster_accuracy" in page.text
    assert page.tags.count("svg") == 2
    assert "Not evaluated yet" in bare.text
    assert "cluster_accuracy" not in bare.text


def test_classes_that_the_index_was_taught_since_stand_in_it_and_an_empty_index_leaves_the_plane_out(
    run: nearkin.Run, tmp_path: Path
) -> None:
    shutil.copytree(run.path, tmp_path / "run")
    image = str(run.path.parents[2] / "2-0<b>.png")
    assert command(["index", "add", str(tmp_path / "run"), image, "--label", "zz"]) == 0
    page = Page(write_report(nearkin.load_run(tmp_path / "run"), tmp_path / "more.html", maps=1, watch=Watch()))
    assert "zz: reference" in page.text
    for label in ("a", EVIL, "zz"):
        assert command(["index", "remove", str(tmp_path / "run"), "--label", label]) == 0
    empty = Page(write_report(nearkin.load_run(tmp_path / "run"), tmp_path / "empty.html", watch=Watch()))
    assert "cluster_accuracy" in empty.text
    assert "zz: reference" not in empty.text


def test_it_says_where_dots_are_left_out_and_colours_shared(
    run: nearkin.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nearkin.report.images.MOST_DOTS", 5)
    monkeypatch.setattr("nearkin.report.images.COLOURS", ("#123456",))
    page = Page(write_report(run, tmp_path / "few.html", maps=0, watch=Watch()))
    assert "5 are drawn, chosen by chance" in page.text
    assert "some classes share one" in page.text


def test_embeddings_of_one_dimension_are_drawn_on_a_line(run: nearkin.Run) -> None:
    places, share = _in_two(np.arange(5, dtype=np.float32)[:, None])
    assert places.shape == (5, 2)
    assert (places[:, 1] == 0).all()
    assert share == pytest.approx(1)


def test_what_is_no_page_or_no_count_is_refused(run: nearkin.Run, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"end its name in \.html"):
        write_report(run, tmp_path / "report.pdf")
    with pytest.raises(UsageError, match="maps -1"):
        write_report(run, tmp_path / "report.html", maps=-1)
    with pytest.raises(UsageError, match="give a path"):
        write_report(run, cast(Any, None))


def test_a_page_that_cannot_be_written_is_told_in_words(run: nearkin.Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(WorkFailed, match=r"could not be saved.*move it away"):
        write_report(run, tmp_path / "file" / "report.html", maps=0)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0.93, 0.9301), (-3, 12_000), (1e-9, 2e-9)])
def test_ticks_are_few_round_and_inside(low: float, high: float) -> None:
    found = ticks(low, high)
    assert 3 <= len(found) <= 9
    assert low <= found[0] < found[-1] <= high


def test_a_long_curve_keeps_its_mean_and_a_flat_one_can_be_drawn() -> None:
    points = [(float(n), float(n % 7)) for n in range(5000)]
    thin = thinned(points)
    assert len(thin) == MOST_POINTS
    assert np.mean([y for _, y in thin]) == pytest.approx(np.mean([y for _, y in points]), rel=0.01)
    assert "nan" not in line_chart([(1.0, 0.0), (2.0, 0.0)])
