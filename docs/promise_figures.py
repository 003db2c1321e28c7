"""The picture of the promise: `python docs/figures.py promise` draws docs/promise.svg and prints its table.

Promised: alpha. Measured: the share of new images of known classes whose own p-value is at most alpha, over 200
draws (`promise 50`: fewer) of real images, the embedding learned anew in each. Needs NEARKIN_DATA. Goes on where it
stopped.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np

from nearkin.experiments.promise import Material, own_p_values
from nearkin.files import to_json, write_atomic

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.index.promise_material import MATERIALS  # the images that the tests measure on

PICTURE = Path(__file__).parent / "promise.svg"
DRAWS = 200
ALPHAS = np.round(np.arange(0.01, 0.401, 0.01), 2)
WAYS = {
    "held out": ({"way": "held_out"}, "#0b6e4f"),
    "leave one group out": ({"way": "leave_one_group_out"}, "#2b6cb0"),
    "cross-conformal": ({"way": "cross_conformal"}, "#b7791f"),
    "on what trained: wrong, and refused": ({"way": "held_out", "on_trained": True}, "#c53030"),
}
SIDE, HEIGHT, LEFT, TOP, GAP, MOST = 230, 320, 54, 40, 34, 0.40
"""Of a panel, in pixels; and the largest alpha that is shown."""


def promise(draws: str = str(DRAWS)) -> None:
    """Measure, draw, and print the table at three alphas."""
    panels = []
    print("| images | calibrated | alpha 0.05 | alpha 0.10 | alpha 0.20 |\n|---|---|---|---|---|")
    for make in MATERIALS.values():
        material = make()
        curves = {way: measured(material, int(draws), way) for way in WAYS}
        panels.append((material.name, curves))
        for way, curve in curves.items():
            cells = [f"{curve[list(ALPHAS).index(alpha)]:.3f}" for alpha in (0.05, 0.10, 0.20)]
            print(f"| {material.name} | {way} | {' | '.join(cells)} |", flush=True)
    write_atomic(PICTURE, picture(panels).encode())


def measured(material: Material, draws: int, way: str) -> np.ndarray:
    """The share flagged at each alpha, the mean of all classes and draws; by the default score. Kept once measured."""
    kept = Path("runs/figures/promise") / f"{material.name} {way} {draws}.json".replace(" ", "-").replace(":", "")
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(kept, to_json(_measured(material, draws, way).tolist()))
    return np.array(json.loads(kept.read_bytes()))


def _measured(material: Material, draws: int, way: str) -> np.ndarray:
    values = own_p_values(material, draws=draws, **WAYS[way][0])  # type: ignore[arg-type]
    own = np.stack(list(values.values()))
    return np.array([(own <= alpha + 1e-9).mean() for alpha in ALPHAS])


def picture(panels: Sequence[tuple[str, dict[str, np.ndarray]]]) -> str:
    """A panel a material, the promise as its diagonal, as SVG."""
    width, height = LEFT + len(panels) * (SIDE + GAP), TOP + HEIGHT + 56 + 18 * len(WAYS)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        f'font-size="12" role="img"><title>Promised against measured share of known images flagged unknown</title>',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        *(panel(LEFT + place * (SIDE + GAP), *given, first=place == 0) for place, given in enumerate(panels)),
        *(legend(place, way) for place, way in enumerate(WAYS)),
        "</svg>\n",
    ]
    return "\n".join(parts)


def panel(left: int, name: str, curves: dict[str, np.ndarray], *, first: bool) -> str:
    """One material's axes and curves."""
    bottom, middle = TOP + HEIGHT, left + SIDE / 2
    (x1, y1), (x2, y2) = at(left, 0, 0), at(left, MOST, MOST)
    grey = 'fill="#4a5568"'
    lines = [
        f'<text x="{middle}" y="{TOP - 14}" text-anchor="middle" font-weight="bold">{escape(name)}</text>',
        f'<rect x="{left}" y="{TOP}" width="{SIDE}" height="{HEIGHT}" fill="none" stroke="#a0aec0"/>',
        f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="#1a202c" stroke-dasharray="2 3"/>',
        f'<text x="{middle}" y="{bottom + 34}" text-anchor="middle">promised: at most alpha</text>',
    ]
    for alpha in (0.0, 0.1, 0.2, 0.3, 0.4):
        x, _ = at(left, alpha, 0)
        lines.append(f'<text x="{x}" y="{bottom + 16}" text-anchor="middle" {grey}>{alpha:g}</text>')
    if first:
        for share in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0):
            _, y = at(left, 0, share)
            lines.append(f'<text x="{left - 6}" y="{y + 4}" text-anchor="end" {grey}>{share:g}</text>')
        x, y = left - 36, TOP + HEIGHT / 2
        lines.append(f'<text transform="rotate(-90 {x} {y})" x="{x}" y="{y}" text-anchor="middle">measured</text>')
    return "\n".join([*lines, *(curve(left, way, shares) for way, shares in curves.items())])


def curve(left: int, way: str, shares: np.ndarray) -> str:
    """One way's."""
    places = (at(left, alpha, share) for alpha, share in zip(ALPHAS, shares, strict=True))
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    return f'<polyline points="{points}" fill="none" stroke="{WAYS[way][1]}" stroke-width="2"/>'


def at(left: int, promised: float, share: float) -> tuple[float, float]:
    """Where a point lies, in pixels."""
    return left + SIDE * promised / MOST, TOP + HEIGHT * (1 - share)


def legend(place: int, way: str) -> str:
    """One line of it."""
    y = TOP + HEIGHT + 62 + 18 * place
    line = f'<line x1="{LEFT}" y1="{y - 4}" x2="{LEFT + 24}" y2="{y - 4}" stroke="{WAYS[way][1]}" stroke-width="2"/>'
    return f'{line}<text x="{LEFT + 32}" y="{y}">{escape(way)}</text>'
