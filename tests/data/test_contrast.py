"""Contrast as radiologists name it: as the libraries have it, in the image's own units, saved with the model."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_windowing
from skimage.exposure import equalize_adapthist

import nearkin
from nearkin.data import BadImage, decode, load_data
from nearkin.data.contrast import with_contrast
from nearkin.errors import DataError, PluginError, RecipeError, UsageError
from nearkin.evaluation.views import reopen_data
from nearkin.model import DESCRIPTION
from nearkin.recipe.contrast import ClaheOptions, ContrastOptions, PercentileOptions, WindowOptions
from nearkin.training.watch import Watch
from tests.data.test_dicom import written

NOISE = np.random.default_rng(0).integers(0, 65536, (40, 56), dtype=np.uint16)
WIDE = np.random.default_rng(1).integers(-1000, 3000, (24, 32)).astype(np.int16)
"""As a CT's Hounsfield units lie."""


def window(center: float | None = None, width: float | None = None) -> WindowOptions:
    return WindowOptions(type="window", center=center, width=width)


def percentile(low: float = 1.0, high: float = 99.0) -> PercentileOptions:
    return PercentileOptions(type="percentile", low=low, high=high)


def clahe(**options: Any) -> ClaheOptions:
    return ClaheOptions(type="clahe", **options)


@pytest.mark.parametrize(("center", "width"), [(40, 400), (-600, 1500), (500.5, 1), (1000, 4000)])
def test_a_window_is_dicoms_linear_exact(tmp_path: Path, center: float, width: float) -> None:
    said = Dataset()
    said.PhotometricInterpretation, said.BitsStored, said.PixelRepresentation = "MONOCHROME2", 16, 1
    said.WindowCenter, said.WindowWidth, said.VOILUTFunction = center, width, "LINEAR_EXACT"
    expected = (apply_windowing(WIDE, said) + 32768) / 65535
    for image in (WIDE, written(tmp_path, WIDE, bits=16)):
        np.testing.assert_allclose(
            with_contrast(decode(image), window(center, width)), expected, atol=5e-3 if width == 1 else 1e-4
        )


def test_a_window_replaces_the_files_own_and_sees_what_that_cut_off(tmp_path: Path) -> None:
    bare = decode(written(tmp_path, WIDE, bits=16))
    own = decode(written(tmp_path, WIDE, bits=16, WindowCenter=40, WindowWidth=80))
    assert not np.array_equal(own.pixels, bare.pixels)
    for contrast in (window(1000, 3000), percentile()):
        np.testing.assert_array_equal(with_contrast(own, contrast), with_contrast(bare, contrast))
    np.testing.assert_array_equal(with_contrast(own, window()), own.pixels)


def test_a_window_is_in_rescaled_units_and_white_stays_low_in_monochrome1(tmp_path: Path) -> None:
    stored = (WIDE + 1024).astype(np.uint16)
    tags = {"RescaleSlope": 1, "RescaleIntercept": -1024}
    plain = with_contrast(decode(written(tmp_path, stored, **tags)), window(40, 400))
    np.testing.assert_allclose(plain, np.clip((WIDE - 40) / 400 + 0.5, 0, 1), atol=1e-4)
    turned = decode(written(tmp_path, stored, **tags, PhotometricInterpretation="MONOCHROME1"))
    np.testing.assert_allclose(with_contrast(turned, window(40, 400)), 1 - plain, atol=1e-4)


@pytest.mark.parametrize(
    ("image", "whole"),
    [
        (NOISE, window(32767.5, 65535)),
        ((NOISE // 257).astype(np.uint8), window(127.5, 255)),
        ((NOISE / 65535).astype(np.float32), window(0.5, 1)),
        (NOISE.astype(np.int64) * 3 - 5000, percentile(0, 100)),
    ],
    ids=["16 bits", "8 bits", "floats", "stretched"],
)
def test_a_window_over_all_that_there_is_changes_nothing(image: NDArray[Any], whole: ContrastOptions) -> None:
    np.testing.assert_allclose(with_contrast(decode(image), whole), decode(image).pixels, atol=1e-6)


def test_16_bits_are_kept(tmp_path: Path) -> None:
    """A ramp that 8 bits would make one gray."""
    ramp = np.arange(1000, 1256, dtype=np.uint16).repeat(8).reshape(32, 64)
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    for contrast in (window(1128, 300), percentile(0, 100), clahe(tiles=4)):
        assert len(np.unique(with_contrast(decode(tmp_path / "ramp.png"), contrast))) >= 200, contrast


@settings(deadline=None, max_examples=60)
@given(
    hnp.arrays(np.uint16, (5, 6), elements=st.integers(0, 65535)),
    st.one_of(
        st.builds(window, st.floats(-1000, 70000), st.floats(1e-3, 1e5)),
        st.builds(percentile, st.floats(0, 49), st.floats(51, 100)),
    ),
)
def test_the_order_of_values_is_kept_and_twice_is_once(image: NDArray[np.uint16], contrast: ContrastOptions) -> None:
    picture = decode(image)
    try:
        shown = with_contrast(picture, contrast)
    except BadImage:
        return
    order = np.argsort(picture.pixels, axis=None, kind="stable")
    assert (np.diff(shown.ravel()[order]) >= 0).all()
    assert (shown.min(), shown.max()) >= (0, 0)
    assert shown.max() <= 1
    if isinstance(contrast, PercentileOptions):
        np.testing.assert_array_equal(with_contrast(decode(shown), contrast), shown)


def test_clahe_is_scikit_images() -> None:
    """Its defaults too, at the clip limit that is a hundredth of a tile."""
    image = NOISE[:40, :56]
    expected = equalize_adapthist(decode(image).pixels)
    np.testing.assert_allclose(with_contrast(decode(image), clahe(clip_limit=2.56)), expected, atol=1e-6)
    gray = with_contrast(decode(image), clahe())
    np.testing.assert_allclose(with_contrast(decode(np.stack([image] * 3, axis=2)), clahe())[:, :, 1], gray, atol=1e-3)


@pytest.mark.parametrize(
    ("image", "contrast", "said"),
    [
        (NOISE, window(), "has no window of its own"),
        (NOISE, window(-5000, 100), "nothing in the window from -5050 to -4950: its values are [0-9.]+ to 65"),
        (np.where(np.arange(64) < 1, 9, 7).reshape(8, 8).astype(np.uint8), percentile(20, 80), "are one value"),
        (np.full((64, 64), 9, np.uint8), clahe(), "is one gray or colour everywhere"),
        (np.full((64, 64, 3), [200, 0, 0], np.uint8), clahe(), "is one gray or colour everywhere"),
        (NOISE, clahe(tiles=16), "is 56x40, too small for 16 tiles a side: 10 at most"),
    ],
)
def test_what_would_show_nothing_is_refused_by_name(image: NDArray[Any], contrast: ContrastOptions, said: str) -> None:
    with pytest.raises(BadImage, match=said):
        with_contrast(decode(image), contrast)


def test_without_scikit_image_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage.exposure", None)
    with pytest.raises(PluginError, match=r'pip install "nearkin\[contrast\]"'):
        with_contrast(decode(NOISE), clahe())


RECIPE = """\
name: contrast
data: {source: digits, known: ["0", "1"], shots: 4, select: 2, calibrate: 4, test: 4, contrast: CONTRAST}
backbone: {type: conv2, image_size: 16, width: 4, embedding_dim: 4}
method: {type: embedding}
loss: {type: contrastive}
sampler: {type: balanced_pairs, pairs: 4}
train: {steps: 2}
evaluate: [{type: clusters}]
"""


def trained(folder: Path, contrast: str, *overrides: str) -> nearkin.Run:
    (folder / "recipe.yaml").write_text(RECIPE.replace("CONTRAST", contrast))
    return nearkin.train(folder / "recipe.yaml", runs=folder / "runs", overrides=overrides, watch=Watch())


@pytest.mark.parametrize(
    ("contrast", "said"),
    [
        (
            "{type: window, center: 40}",
            r"yaml:2:\d+ data.contrast: a window has a center and a width: give both",
        ),
        ("{type: window, center: 40, width: 0}", "data.contrast.width: must be greater than 0"),
        ("{type: window, center: .inf, width: 1}", "data.contrast.center: must be a finite number"),
        ("{type: percentile, low: 60, high: 40}", "low must be less than high, not 60 and 40"),
        ("{type: percentile, high: 101}", "data.contrast.high: must be at most 100"),
        ("{type: clahe, clip_limit: 0.01}", "data.contrast.clip_limit: must be greater than 1"),
        ("{type: clahe, tile: 8}", "data.contrast.tile: unknown key. Did you mean 'tiles'"),
        ("{type: windows}", "no contrast here is called 'windows'. Did you mean 'window'"),
        ("clahe", "Write {type: clahe}"),
    ],
)
def test_wrong_values_are_told_with_their_place(tmp_path: Path, contrast: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        trained(tmp_path, contrast)


def test_a_run_prepares_images_as_it_was_trained_wherever_it_is_opened(tmp_path: Path) -> None:
    run = trained(tmp_path, "{type: percentile, low: 5, high: 90}")
    image = np.arange(256, dtype=np.uint8).reshape(16, 16)
    opened = nearkin.load_run(run.path)
    shown = with_contrast(decode(image), percentile(5, 90))
    np.testing.assert_array_equal(opened.model.prepare(decode(image))[0], shown)
    np.testing.assert_array_equal(opened.embed(image), opened.model.embed_tensor(shown[None, None]))
    data, store = reopen_data(run, Watch())
    item = data.items["test"][0]
    raw = load_data(run.recipe.data, 0)[0].load(item)
    np.testing.assert_array_equal(store.images([item])[0], run.model.prepare(raw))
    plain = trained(tmp_path, "null")
    assert run.facts["data"] == plain.facts["data"], "the images are the same ones, however they are seen"
    run.index.save(tmp_path / "saved.index")
    again = nearkin.load_index(tmp_path / "saved.index")
    assert again.query(image).distance == run.index.query(image).distance
    assert b'"contrast"' in run.model.files()[DESCRIPTION]


def test_a_warm_start_sees_images_as_its_base_did(tmp_path: Path) -> None:
    base = trained(tmp_path, "{type: percentile}")
    warm = ("backbone={init_from: %s}" % base.path, "data.seed=1", "data.calibrate=0")  # noqa: UP031  # braces
    with pytest.raises(UsageError, match=r"another data.contrast: {'type': 'percentile', .* there, none here"):
        trained(tmp_path, "null", *warm)
    trained(tmp_path, "{type: percentile}", *warm)


def test_images_that_the_contrast_refuses_are_all_named_before_training(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"360 of 360 images cannot be used.*\ndigits/.*too small for 8 tiles"):
        trained(tmp_path, "{type: clahe}")
