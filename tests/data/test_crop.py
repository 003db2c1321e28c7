"""Crop: place and size in the image are gone, values are not, and what cannot be cropped is refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import nearkin
from nearkin.contracts import FloatArray
from nearkin.data.images import BadImage, decode
from nearkin.data.preparing import cropped
from nearkin.errors import UsageError
from nearkin.recipe.preparation import CropOptions

CROP = CropOptions(fill=0.8, threshold=0.25, max_zoom=3)
RECIPE = """
name: crop
data: {source: digits, known: ["0", "1"], shots: 4, select: 2, calibrate: 4, test: 4, crop: {fill: 0.9}}
backbone: {type: conv2, width: 4}
method: {type: embedding}
loss: {type: contrastive}
sampler: {type: m_per_class, classes: 2, m: 2}
train: {steps: 2}
"""


def drawing(top: int, left: int, *, side: int = 60, ground: float = 1.0, ink: float = 0.0) -> FloatArray:
    """An L of 20 x 12 pixels on an even ground."""
    image = np.full((side, side), ground, np.float32)
    image[top : top + 20, left : left + 3] = ink
    image[top + 17 : top + 20, left : left + 12] = ink
    return image


def square(image: NDArray[np.floating] | NDArray[np.integer], crop: CropOptions = CROP) -> FloatArray:
    return cropped(decode(image), crop).pixels


@given(top=st.integers(0, 40), left=st.integers(0, 48), side=st.sampled_from([60, 61, 74]))
@settings(max_examples=25, deadline=None)
def test_where_a_drawing_stands_is_gone(top: int, left: int, side: int) -> None:
    np.testing.assert_array_equal(square(drawing(top, left, side=side)), square(drawing(20, 20)))


def test_the_longer_side_takes_its_share_and_stands_in_the_middle() -> None:
    found = square(drawing(7, 30))
    assert found.shape == (25, 25)
    ink = found < 0.5
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    assert (rows[0], rows[-1] + 1) == (3, 23), "20 of 25 rows, in the middle"
    assert (columns[0], columns[-1] + 1) == (7, 19)


def test_a_dot_stays_a_dot() -> None:
    dot = np.ones((90, 60), np.float32)
    dot[40, 9] = 0
    assert square(dot).shape == (30, 30), "a third of the longer side, as max_zoom says"


def bar(height: int, width: int, image: int = 200) -> FloatArray:
    made = np.ones((image, image), np.float32)
    made[50 : 50 + height, 60 : 60 + width] = 0
    return made


@given(
    height=st.integers(5, 90),
    width=st.integers(5, 90),
    aspect=st.sampled_from([0.0, 0.3, 0.5, 1.0]),
    fill=st.sampled_from([0.6, 0.95]),
)
@settings(max_examples=50, deadline=None)
def test_content_appears_with_the_asked_power_of_its_aspect(
    height: int, width: int, aspect: float, fill: float
) -> None:
    found = square(bar(height, width), CropOptions(fill=fill, aspect=aspect, max_zoom=1000))
    rows, columns = found.shape
    shown = np.array([height / rows, width / columns])  # shares of the model's square, which the box becomes
    half_a_pixel = 0.5 / min(found.shape)
    assert shown.max() == pytest.approx(fill, rel=half_a_pixel)
    assert shown[0] / shown[1] == pytest.approx((height / width) ** aspect, rel=3 * half_a_pixel)
    assert (found < 0.5).sum() == height * width, "nothing is cut off"


def test_a_bar_stays_a_bar() -> None:
    found = square(bar(60, 1), CropOptions(fill=0.8, aspect=0, max_zoom=4))
    assert found.shape == (75, 50), "as wide as a quarter of the image"
    assert square(bar(60, 1), CropOptions(fill=0.8, max_zoom=4)).shape == (75, 75), "a square, all aspect kept"


def test_light_on_dark_colour_and_16_bits_keep_their_values() -> None:
    light = square(drawing(5, 5, ground=0.1, ink=0.9))
    assert set(np.unique(light)) == {np.float32(0.1), np.float32(0.9)}
    colour = square(np.stack([drawing(5, 5), np.ones((60, 60)), np.ones((60, 60))], axis=2))
    np.testing.assert_array_equal(colour[:, :, 0], square(drawing(5, 5)))
    assert (colour[:, :, 1:] == 1).all()
    deep = (drawing(5, 5, ink=0.5) * 65535).astype(np.uint16)
    assert set(np.unique(square(deep) * 65535)) == {32767.0, 65535.0}


def test_an_image_that_is_background_alone_is_refused_by_name() -> None:
    with pytest.raises(BadImage, match=r"array: has nothing that differs .* more than 0.25.*Lower data.crop.threshold"):
        square(np.full((20, 20), 0.4, np.float32))


def test_the_crop_goes_with_the_model_and_a_warm_start_must_share_it(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    run = nearkin.train(tmp_path / "recipe.yaml", runs=tmp_path)
    opened = nearkin.load_run(run.path)
    near, far = (1 - drawing(0, 0), 1 - drawing(33, 41))
    np.testing.assert_allclose(opened.model.embed([near]).vectors, opened.model.embed([far]).vectors, atol=1e-6)
    plain = RECIPE.replace(", crop: {fill: 0.9}", "").replace("width: 4", f"width: 4, init_from: {run.path}")
    (tmp_path / "plain.yaml").write_text(plain)
    with pytest.raises(UsageError, match=r"another data.crop: {'fill': 0.9, .*} there, none here"):
        nearkin.train(tmp_path / "plain.yaml", runs=tmp_path)
