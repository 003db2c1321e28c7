"""The map shows where the network looks: a planted letter is seen, and holds most of the map."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

import nearkin
from nearkin.cli.work import explain as explain_command
from nearkin.contracts import ClassRule, FloatArray
from nearkin.errors import DataError, UsageError
from nearkin.explaining import explain, overlay
from nearkin.explaining.explain import margin
from nearkin.explaining.occlusion import occlusion_map
from nearkin.index import Index
from nearkin.training.watch import Watch

SIZE, LETTER = 64, (4, 4, 18, 18)
"""Top, left, bottom, right of the letter that gives one class away."""
RECIPE = """\
name: letters
data: {source: folder, path: FOLDER, shots: 10, select: 5, calibrate: 9}
backbone: {type: conv4, width: 16, image_size: 64}
method: {type: embedding}
loss: {type: contrastive}
sampler: {type: balanced_pairs, pairs: 20}
train: {steps: 60, optimizer: {lr: 3e-3}, early_stopping: null}
"""


def chest(rng: np.random.Generator) -> Image.Image:
    """The same sort of background for both classes."""
    rough = rng.integers(60, 180, (5, 5), dtype=np.uint8)
    return Image.fromarray(rough).resize((SIZE, SIZE), Image.Resampling.BICUBIC)


def with_letter(image: Image.Image) -> Image.Image:
    ImageDraw.Draw(image).text((LETTER[1], LETTER[0] - 3), "R", fill=255, font_size=18)
    return image


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> nearkin.Run:
    """Two classes that differ by the letter alone."""
    folder, rng = tmp_path_factory.mktemp("letters"), np.random.default_rng(0)
    for label in ("marked", "plain"):
        (folder / "images" / label).mkdir(parents=True)
        for number in range(30):
            image = with_letter(chest(rng)) if label == "marked" else chest(rng)
            image.save(folder / "images" / label / f"{number:02}.png")
    (folder / "letters.yaml").write_text(RECIPE.replace("FOLDER", str(folder / "images")))
    return nearkin.train(folder / "letters.yaml", runs=folder / "runs", watch=Watch())


@pytest.fixture
def marked() -> Image.Image:
    return with_letter(chest(np.random.default_rng(99)))


def test_the_letter_holds_at_least_half_of_the_map_of_an_answer(run: nearkin.Run, marked: Image.Image) -> None:
    assert run.index.query(marked).label == "marked"
    assert explain(run, marked).mass(*LETTER) >= 0.5


def test_the_letter_holds_at_least_half_of_the_map_of_a_pair(run: nearkin.Run, marked: Image.Image) -> None:
    other = with_letter(chest(np.random.default_rng(7)))
    assert explain(run, marked, other).mass(*LETTER) >= 0.5


def test_a_map_is_a_share_of_the_whole(run: nearkin.Run, marked: Image.Image) -> None:
    found = explain(run, marked)
    assert found.map.shape == (SIZE, SIZE)
    assert found.map.min() >= 0
    assert found.map.sum() == pytest.approx(1, abs=1e-4)
    assert "'marked' is nearer than any other cluster" in found.of


def test_the_mass_of_a_box_beyond_the_image_is_that_of_its_part_inside(run: nearkin.Run, marked: Image.Image) -> None:
    found = explain(run, marked)
    assert found.mass(-5, -5, 10, 10) == found.mass(0, 0, 10, 10)
    assert found.mass(-9, -9, 2 * SIZE, 2 * SIZE) == pytest.approx(1, abs=1e-4)
    assert found.mass(-9, 0, -3, SIZE) == 0
    with pytest.raises(UsageError, match="is no box"):
        found.mass(10, 10, 5, 20)


def test_a_pair_is_of_one_image_each(run: nearkin.Run, marked: Image.Image) -> None:
    other = chest(np.random.default_rng(7))
    with pytest.raises(DataError, match="is a list"):
        explain(run, marked, [other, marked])  # type: ignore[arg-type]
    assert explain(run, marked, other).of == "why it is near the other"


@pytest.mark.parametrize("rule", ["nearest", "prototype", "attention"])
def test_what_is_explained_is_what_the_class_rule_compares(rule: ClassRule) -> None:
    """The class that the index names is ahead of the others, and no other class is."""
    rng = np.random.default_rng(0)
    index = Index(metric="cosine", class_rule=rule, dim=3)
    index.add(rng.normal(size=(24, 3)), ["a"] * 4 + ["b"] * 8 + ["c"] * 12)
    queries = rng.normal(size=(60, 3)).astype(np.float32)
    named = np.array([answer.label for answer in index.query(queries)])
    for code, label in enumerate(index.references.classes):
        ahead = margin(queries, code, index.references, rule, "cosine")
        np.testing.assert_array_equal(ahead > 0, named == label)


@pytest.mark.parametrize(
    ("rule", "said"),
    [("prototype", "the class mean of 'marked' is nearer"), ("attention", "more attention falls on 'marked'")],
)
def test_the_sentence_says_what_is_compared(
    run: nearkin.Run, marked: Image.Image, monkeypatch: pytest.MonkeyPatch, rule: ClassRule, said: str
) -> None:
    monkeypatch.setattr(run.model.method, "class_rule", rule)
    found = explain(run, marked)
    assert said in found.of
    assert found.mass(*LETTER) >= 0.5


@pytest.mark.parametrize("rule", ["nearest", "prototype", "attention"])
def test_of_a_lone_class_it_is_explained_how_near_it_is(rule: ClassRule) -> None:
    index = Index(metric="cosine", class_rule=rule, dim=2)
    index.add(np.array([[1.0, 0.0]]), ["a"])
    near, far = margin(np.array([[1, 0.1], [0, 1]], np.float32), 0, index.references, rule, "cosine")
    assert near > far


def test_only_what_the_score_rests_on_is_shown() -> None:
    """A score that sees one pixel: nothing farther than a patch from it is marked."""

    def one_pixel(images: FloatArray) -> FloatArray:
        return images[:, 0, 20, 30]

    image = np.zeros((1, 48, 48), dtype=np.float32)
    image[0, 20, 30] = 1
    found = occlusion_map(one_pixel, image, patch=6, stride=2)
    rows, columns = np.nonzero(found)
    assert len(rows)
    assert np.abs(rows - 20).max() < 6
    assert np.abs(columns - 30).max() < 6
    assert np.unravel_index(found.argmax(), found.shape)[0] in range(18, 23)


def test_where_nothing_matters_the_map_is_zero() -> None:
    assert not occlusion_map(
        lambda images: np.zeros(len(images), np.float32), np.ones((1, 16, 16), np.float32), patch=4, stride=2
    ).any()


def test_the_picture_is_large_enough_to_see(run: nearkin.Run, marked: Image.Image, tmp_path: Path) -> None:
    picture = overlay(explain(run, marked))
    assert picture.size == (512, 256)


@pytest.mark.parametrize(("patch", "stride"), [(0, 1), (65, 1), (8, 0), (5, 9), (6.5, 2), (True, True)])
def test_patches_that_do_not_fit_are_refused(run: nearkin.Run, marked: Image.Image, patch: Any, stride: Any) -> None:
    with pytest.raises(UsageError, match="do not fit images of 64 pixels"):
        explain(run, marked, patch=patch, stride=stride)


def test_the_command_draws_the_map(run: nearkin.Run, marked: Image.Image, tmp_path: Path) -> None:
    marked.save(tmp_path / "new.png")
    explain_command(run.path, tmp_path / "new.png", against=None, output=tmp_path / "map.png", plugins=())
    assert Image.open(tmp_path / "map.png").size == (512, 256)
    with pytest.raises(UsageError, match=r"\.png"):
        explain_command(run.path, tmp_path / "new.png", against=None, output=tmp_path / "map.jpg", plugins=())
