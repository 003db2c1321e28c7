"""A picture of one batch of pairs, so that a person sees what the network is told."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from nearkin.contracts import FloatArray

LEAST, MOST = 96, 160
"""A tile's longer side, in pixels."""
GAP, LINE, COLUMNS = 6, 16, 6
INK, PAPER = "#222222", "#ffffff"
COLOURS = {1: "#1a7f37", 0: "#b42318"}
WORDS = {1: "same (1)", 0: "different (0)"}


def pair_sheet(images: FloatArray, pairs: Sequence[tuple[int, int, int]], labels: Sequence[str]) -> Image.Image:
    """(m, channels, h, w) in [0, 1], (i, j, target), a label an image -> pairs side by side, each over its target."""
    tiles = [_tile(image) for image in images]
    width, height = tiles[0].size if tiles else (LEAST, LEAST)
    cell_width, cell_height = 2 * width + 4 * GAP, height + 2 * LINE + 4 * GAP
    columns, rows = min(COLUMNS, max(1, len(pairs))), -(-len(pairs) // COLUMNS)
    sheet = Image.new("RGB", (columns * cell_width + GAP, rows * cell_height + GAP), PAPER)
    for number, (i, j, target) in enumerate(pairs):
        left, top = GAP + number % COLUMNS * cell_width, GAP + number // COLUMNS * cell_height
        both = [(tiles[row], labels[row]) for row in (i, j)]
        cell = _cell(both, target, (cell_width - GAP, cell_height - GAP))
        sheet.paste(cell, (left, top))
    return sheet


def _cell(both: Sequence[tuple[Image.Image, str]], target: int, size: tuple[int, int]) -> Image.Image:
    """Two tiles in a frame of the target's colour, each over its label, the target below."""
    cell = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(cell)
    draw.rectangle((0, 0, size[0] - 1, size[1] - 1), outline=COLOURS[target], width=2)
    width, height = both[0][0].size
    top, font = height + int(1.5 * GAP), ImageFont.load_default(12)
    for side, (tile, label) in enumerate(both):
        left = GAP + side * (width + GAP)
        cell.paste(tile, (left, GAP))
        draw.text((left, top), _shortened(label, draw, font, width), fill=INK, font=font)
    draw.text((GAP, top + LINE), WORDS[target], fill=COLOURS[target], font=ImageFont.load_default(13))
    return cell


def _tile(image: FloatArray) -> Image.Image:
    """(channels, h, w) -> RGB; a small image grows by a whole factor, so that its pixels stay even squares."""
    pixels = (np.clip(image, 0, 1) * 255).round().astype(np.uint8).transpose(1, 2, 0)
    picture = Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[:, :, 0]).convert("RGB")
    longer = max(picture.size)
    if longer < LEAST:
        factor = -(-LEAST // longer)
        return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)
    picture.thumbnail((MOST, MOST), Image.Resampling.BILINEAR)
    return picture


def _shortened(
    text: str, draw: ImageDraw.ImageDraw, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, room: int
) -> str:
    """Cut with an ellipsis where it would run out of its cell."""
    if draw.textlength(text, font=font) <= room:
        return text
    while text and draw.textlength(text + "...", font=font) > room:
        text = text[:-1]
    return text + "..."
