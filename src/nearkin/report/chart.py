"""Charts as inline SVG: a line over steps, and points in a plane. The library writes the XML, so names are escaped."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias
from xml.etree.ElementTree import Element, SubElement, tostring

import numpy as np

WIDTH, HEIGHT = 640, 220
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 10, 26
MOST_POINTS = 400
"""Of a line: more cannot be told apart."""
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d1f", "#5b5b5b")
"""Okabe and Ito's, told apart by colour-blind eyes too; yellow and black made readable on white."""
GRID, INK = "#e3e3e3", "#444444"
Points: TypeAlias = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Mark:
    """A dashed line across the chart, and what it means."""

    at: float
    text: str


@dataclass(frozen=True)
class Dot:
    """One point of a plane."""

    x: float
    y: float
    colour: str
    shape: str
    """`full`, `ring` or `cross`."""
    title: str
    """Shown by the browser where the mouse stands."""


class Plot:
    """An area of the picture onto which values are laid."""

    def __init__(self, xs: Iterable[float], ys: Iterable[float], height: int) -> None:
        self.x, self.y, self.height = _range(xs), _range(ys), height
        size = {"viewBox": f"0 0 {WIDTH} {height}", "role": "img", "width": str(WIDTH), "height": str(height)}
        self.svg = Element("svg", size)

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Pixels."""
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        bottom = self.height - BOTTOM
        return round(LEFT + across * (WIDTH - LEFT - RIGHT), 1), round(bottom - up * (bottom - TOP), 1)

    def line(self, start: tuple[float, float], end: tuple[float, float], colour: str, dashes: str = "") -> None:
        """Between two places."""
        (x1, y1), (x2, y2) = start, end
        said = {"x1": str(x1), "y1": str(y1), "x2": str(x2), "y2": str(y2), "stroke": colour}
        SubElement(self.svg, "line", said | ({"stroke-dasharray": dashes} if dashes else {}))

    def text(self, at: tuple[float, float], text: str, anchor: str = "start") -> None:
        """Small print."""
        said = {"x": str(at[0]), "y": str(at[1]), "font-size": "11", "fill": INK, "text-anchor": anchor}
        SubElement(self.svg, "text", said).text = text

    def axes(self, unit: str) -> None:
        """Round values on both sides."""
        for value in ticks(*self.y):
            left, y = self.place(self.x[0], value)
            self.line((left, y), (WIDTH - RIGHT, y), GRID)
            self.text((left - 6, y + 4), f"{value:g}", "end")
        for value in ticks(*self.x):
            x, bottom = self.place(value, self.y[0])
            self.text((x, bottom + 15), f"{value:g}", "middle")
        self.text((WIDTH - RIGHT, self.height - 1), unit, "end")

    def __str__(self) -> str:
        return tostring(self.svg, encoding="unicode")


def line_chart(points: Points, *, marks: Sequence[Mark] = (), kept: float | None = None) -> str:
    """Values over steps; `marks` are values to compare with, `kept` the step whose weights were kept."""
    plot = Plot((x for x, _ in points), [*(y for _, y in points), *(mark.at for mark in marks)], HEIGHT)
    plot.axes("step")
    for mark in marks:
        left, y = plot.place(plot.x[0], mark.at)
        plot.line((left, y), (WIDTH - RIGHT, y), COLOURS[1], "4 3")
        plot.text((left + 4, y - 4), mark.text)
    if kept is not None:
        x, bottom = plot.place(kept, plot.y[0])
        plot.line((x, TOP), (x, bottom), COLOURS[2], "2 3")
        plot.text((min(x + 4, WIDTH - 60), TOP + 10), "kept")
    path = " ".join(f"{x},{y}" for x, y in (plot.place(*point) for point in thinned(points)))
    SubElement(plot.svg, "polyline", {"points": path, "fill": "none", "stroke": COLOURS[0], "stroke-width": "1.5"})
    return str(plot)


def scatter(dots: Sequence[Dot]) -> str:
    """Points in a plane, without scales: only where they lie to each other matters."""
    plot = Plot((dot.x for dot in dots), (dot.y for dot in dots), 2 * HEIGHT)
    for dot in dots:
        x, y = plot.place(dot.x, dot.y)
        if dot.shape == "cross":
            drawn = SubElement(plot.svg, "path", {"d": f"M{x - 3} {y - 3}l6 6m0 -6l-6 6", "stroke": dot.colour})
        else:
            fill = dot.colour if dot.shape == "full" else "none"
            said = {"cx": str(x), "cy": str(y), "r": "3.5", "fill": fill, "stroke": dot.colour}
            drawn = SubElement(plot.svg, "circle", said)
        SubElement(drawn, "title").text = dot.title
    return str(plot)


def thinned(points: Points) -> Points:
    """At most `MOST_POINTS`, each the mean of its neighbours."""
    if len(points) <= MOST_POINTS:
        return points
    return [tuple(chunk.mean(axis=0).tolist()) for chunk in np.array_split(np.array(points), MOST_POINTS)]


def ticks(low: float, high: float) -> list[float]:
    """Four to eight round values."""
    step = 10 ** math.floor(math.log10((high - low) / 4))
    step *= next(factor for factor in (1, 2, 5) if (high - low) / (step * factor) <= 8)
    return [round(n * step, 10) for n in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _range(values: Iterable[float]) -> tuple[float, float]:
    """From the least to the largest, with a little room where they are one."""
    found = [float(value) for value in values]
    low, high = min(found), max(found)
    room = (high - low) * 0.04 or max(abs(low), 1.0) * 0.5
    return low - room, high + room
