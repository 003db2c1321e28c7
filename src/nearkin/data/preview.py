"""A picture of one batch of pairs, so that a person sees what the network is told."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from nearkin.contracts import FloatArray

TILE, GAP, CAPTION, COLUMNS = 96, 6, 34, 6
INK, PAPER = "#222222", "#ffffff"
COLOURS = {1: "#1a7f37", 0: "#b42318"}
WORDS = {1: "same (1)", 0: "different (0)"}


def pair_sheet(images: FloatArray, pairs: Sequence[tuple[int, int, int]], labels: Sequence[str]) -> Image.Image:
    """(m, channels, h, w) in [0, 1], (i, j, target), a label an image -> pairs side by side, captions under them."""
    cell_width, cell_height = 2 * TILE + 3 * GAP, TILE + CAPTION + 2 * GAP
    rows = -(-len(pairs) // COLUMNS)
    columns = min(COLUMNS, len(pairs))
    sheet = Image.new("RGB", (columns * cell_width + GAP, rows * cell_height + GAP), PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, (i, j, target) in enumerate(pairs):
        left, top = GAP + number % COLUMNS * cell_width, GAP + number // COLUMNS * cell_height
        box = (left, top, left + cell_width - GAP, top + cell_height - GAP)
        draw.rectangle(box, outline=COLOURS[target], width=2)
        for side, row in enumerate((i, j)):
            sheet.paste(_tile(images[row]), (left + GAP + side * (TILE + GAP // 2), top + GAP))
        draw.text((left + GAP, top + TILE + GAP), WORDS[target], fill=COLOURS[target], font=ImageFont.load_default(13))
        caption = _shortened(f"{labels[i]} / {labels[j]}", draw, 2 * TILE)
        draw.text((left + GAP, top + TILE + GAP + 15), caption, fill=INK, font=ImageFont.load_default(11))
    return sheet


def _tile(image: FloatArray) -> Image.Image:
    """(channels, h, w) -> a square RGB tile; small images keep their pixels visible."""
    pixels = (np.clip(image, 0, 1) * 255).round().astype(np.uint8).transpose(1, 2, 0)
    picture = Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[:, :, 0]).convert("RGB")
    small = max(picture.size) < TILE
    return picture.resize((TILE, TILE), Image.Resampling.NEAREST if small else Image.Resampling.BILINEAR)


def _shortened(text: str, draw: ImageDraw.ImageDraw, width: int) -> str:
    """Cut with an ellipsis where it would run out of its cell."""
    font = ImageFont.load_default(11)
    if draw.textlength(text, font=font) <= width:
        return text
    while text and draw.textlength(text + "...", font=font) > width:
        text = text[:-1]
    return text + "..."
