"""The demo: train and evaluate a recipe, then ask its index about one image of each digit, known and unknown.

Run by `make demo`. Everything here is the public command line and the images that scikit-learn ships.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

RECIPE = "digits-siamese"
ASKED = tuple("0123456789")
"""One image of each digit. The recipe knows three of them, and its network has never seen the other seven."""


def nearkin(*arguments: str) -> str:
    """Run a command as a user would; its stdout is shown and returned."""
    print(f"\n$ nearkin {' '.join(arguments)}", flush=True)
    command = [sys.executable, "-m", "nearkin", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    print(done.stdout, end="", flush=True)
    return done.stdout


def write_digits(folder: Path) -> list[str]:
    """The last image of each asked digit as a PNG file."""
    folder.mkdir(parents=True, exist_ok=True)
    digits = load_digits()
    paths = []
    for label in ASKED:
        row = np.flatnonzero(digits.target == int(label))[-1]
        path = folder / f"a-{label}.png"
        Image.fromarray((digits.images[row] / 16 * 255).round().astype(np.uint8)).save(path)
        paths.append(str(path))
    return paths


def main() -> None:
    """Train, evaluate, ask, and say where everything lies."""
    run = nearkin("train", RECIPE).splitlines()[-1]
    nearkin("evaluate", run)
    nearkin("query", run, *write_digits(Path("runs/demo-images")))
    print(
        "\nKnown are 3, 5 and 8. Not every other digit is found out: 'unknown_flagged' above says how many of all are."
    )
    print(
        f"\nThe run:     {run}\nThe figures: {run}/evaluations\nThe index:   {run}/index\nThe images:  runs/demo-images"
    )
    print(f"In Python:   import nearkin; nearkin.load_run('{run}').index.query('runs/demo-images/a-1.png')")


if __name__ == "__main__":
    main()
