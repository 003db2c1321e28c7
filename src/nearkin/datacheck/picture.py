"""A picture of the suspects: pairs side by side, and what each class looks like on average."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from nearkin.contracts import FloatArray
from nearkin.data.looks import Look
from nearkin.datacheck.check import Report

TILE, GAP, LINE, COLUMNS = 128, 8, 15, 4
MOST_PAIRS = 40
INK, PAPER, LOUD = "#222222", "#ffffff", "#b42318"


def suspects(report: Report) -> Image.Image:
    """The pairs of every finding, the worst first; below them the mean image of each class, and how classes differ."""
    by_key = {look.item.key: look for look in report.looks}
    pairs = [(f.what, by_key[a], by_key[b]) for f in report.findings for a, b in f.pairs][:MOST_PAIRS]
    cells = [_pair(what, a, b) for what, a, b in pairs] + _means(report.looks)
    rows = [cells[start : start + COLUMNS] for start in range(0, len(cells), COLUMNS)]
    width = max((sum(cell.width + GAP for cell in row) for row in rows), default=TILE) + GAP
    sheet = Image.new("RGB", (width, sum(max(c.height for c in row) + GAP for row in rows) + GAP), PAPER)
    top = GAP
    for row in rows:
        left = GAP
        for cell in row:
            sheet.paste(cell, (left, top))
            left += cell.width + GAP
        top += max(cell.height for cell in row) + GAP
    return sheet


def _pair(what: str, a: Look, b: Look) -> Image.Image:
    """Two views under what they are suspected of, each over its key."""
    cell = Image.new("RGB", (2 * TILE + GAP, TILE + 3 * LINE), PAPER)
    draw, font = ImageDraw.Draw(cell), ImageFont.load_default(11)
    draw.text((0, 0), what.replace("_", " "), fill=LOUD, font=font)
    for left, look in ((0, a), (TILE + GAP, b)):
        cell.paste(_tile(_stretched(look.view)), (left, LINE))
        draw.text((left, LINE + TILE + 1), look.item.key[-24:], fill=INK, font=font)
        draw.text(
            (left, 2 * LINE + TILE), f"{look.item.label[:14]}, {look.item.split or 'unmarked'}", fill=INK, font=font
        )
    return cell


def _means(looks: Sequence[Look]) -> list[Image.Image]:
    """Each class's mean image, and how far the classes' means are apart, pixel by pixel."""
    labels = sorted({look.item.label for look in looks})[: COLUMNS * 2]
    if len(labels) < 2:
        return []
    means = np.stack([np.mean([x.view for x in looks if x.item.label == label], axis=0) for label in labels])
    spread = np.ptp(means, axis=0)
    shown = zip(labels, _stretched(means), strict=True)  # on one scale, so that a brighter class looks brighter
    cells = [_captioned(mean, f"mean of {label}"[:24]) for label, mean in shown]
    return [*cells, _captioned(spread / max(float(spread.max()), 1e-6), "where the means differ")]


def _captioned(view: FloatArray, text: str) -> Image.Image:
    cell = Image.new("RGB", (TILE, TILE + LINE), PAPER)
    cell.paste(_tile(view), (0, 0))
    ImageDraw.Draw(cell).text((0, TILE + 1), text, fill=INK, font=ImageFont.load_default(11))
    return cell


def _stretched(views: FloatArray) -> FloatArray:
    """From their least value to their largest: 12 bits in a file of 16 would all be black."""
    least, most = float(views.min()), float(views.max())
    return (views - least) / (most - least) if most > least else views


def _tile(view: FloatArray) -> Image.Image:
    pixels = (np.clip(view, 0, 1) * 255).round().astype(np.uint8)
    return Image.fromarray(pixels).resize((TILE, TILE), Image.Resampling.BILINEAR).convert("RGB")
