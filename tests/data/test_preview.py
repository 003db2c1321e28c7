"""The preview shows each pair side by side, large enough to see."""

from __future__ import annotations

import numpy as np
import pytest

from nearkin.data import pair_sheet
from nearkin.data.preview import COLOURS, COLUMNS, GAP, LEAST


def shades(height: int, width: int, channels: int = 1) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Four images, each of one shade."""
    levels = np.array([0.1, 0.3, 0.6, 0.9], dtype=np.float32)
    return np.ones((4, channels, height, width), dtype=np.float32) * levels[:, None, None, None]


@pytest.mark.parametrize(("height", "width"), [(8, 8), (28, 28), (64, 64), (96, 96), (300, 300), (20, 40)])
@pytest.mark.parametrize("channels", [1, 3])
def test_both_images_of_a_pair_are_shown_in_order_and_large_enough(height: int, width: int, channels: int) -> None:
    sheet = np.asarray(pair_sheet(shades(height, width, channels), [(3, 1, 1)], "abcd"))
    first, second = ((sheet == round(level * 255)).all(axis=2) for level in (0.9, 0.3))
    for shown in (first, second):
        rows, columns = np.nonzero(shown)
        assert max(np.ptp(rows), np.ptp(columns)) + 1 >= LEAST
    assert np.nonzero(first)[1].max() < np.nonzero(second)[1].min()


def test_the_frame_has_the_target_s_colour() -> None:
    def has(target: int, colour: str) -> bool:
        wanted = [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
        sheet = np.asarray(pair_sheet(shades(8, 8), [(0, 1, target)], "abcd"))
        return bool((sheet == wanted).all(axis=2).any())

    for target in (0, 1):
        assert has(target, COLOURS[target])
        assert not has(target, COLOURS[1 - target])


def test_pairs_fill_rows_and_no_pair_is_left_out() -> None:
    images = shades(8, 8)
    one = pair_sheet(images, [(0, 1, 0)], "abcd").size
    row = pair_sheet(images, [(0, 1, 0)] * COLUMNS, "abcd").size
    two = pair_sheet(images, [(0, 1, 0)] * (COLUMNS + 1), "abcd").size
    assert row[0] > (COLUMNS - 1) * one[0] * 0.9
    assert (row[1], two[0]) == (one[1], row[0])
    assert two[1] > 1.9 * one[1]
    assert pair_sheet(images, [], "abcd").size[0] > 0


def test_pixels_of_a_small_image_stay_even_squares() -> None:
    board = np.indices((28, 28)).sum(axis=0)[None, None] % 2
    sheet = np.asarray(pair_sheet(board.astype(np.float32), [(0, 0, 1)], "a"))[:, :, 0]
    tile = sheet[2 * GAP :, 2 * GAP :][: 28 * 4, : 28 * 4]
    runs = np.diff(np.nonzero(np.diff(tile[1].astype(int)))[0])
    assert set(runs) == {4}


def test_long_labels_are_cut_and_never_widen_the_sheet() -> None:
    short = pair_sheet(shades(8, 8), [(0, 1, 0)], "abcd")
    long = pair_sheet(shades(8, 8), [(0, 1, 0)], ["a very long name " * 20] * 4)
    assert short.size == long.size
    assert (np.asarray(long)[:, -9:-8] == 255).all(axis=2).sum() > long.height * 0.8
