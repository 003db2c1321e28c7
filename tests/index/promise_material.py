"""Real images on which the promise is measured, with an embedding that is learned anew in every draw, in milliseconds.

A linear discriminant of pixels with little shrinkage: supervised, and so close to its few training images that it
would break the promise badly if those calibrated it, as a fine-tuned network does.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from nearkin.contracts import FloatArray
from nearkin.experiments.promise import Material

KNOWN = ("3", "5", "8")


def discriminant(rows: FloatArray, labels: Sequence[str]) -> Callable[[FloatArray], FloatArray]:
    """(n, p) images and their labels -> what embeds more."""
    fitted = LinearDiscriminantAnalysis(solver="eigen", shrinkage=0.01).fit(rows, labels)
    return lambda images: np.asarray(fitted.transform(images))


@cache
def digits() -> Material:
    """Three handwritten digits."""
    found = load_digits()
    labels = np.array([str(label) for label in found.target], dtype=object)
    known = np.isin(found.target, [int(label) for label in KNOWN])
    rows = found.data[known].astype(np.float32)
    return Material("digits", rows, tuple(labels[known]), discriminant, train=16, calibrate=19, asked=20)


@cache
def omniglot() -> Material:
    """Twelve characters of Greek, of twenty drawers each."""
    folders = sorted(_data().glob("omniglot/small1/Greek/character*"))[:12]
    return _of_folders("Omniglot", folders, 14, train=5, calibrate=9, asked=6)


@cache
def cxr3() -> Material:
    """Chest X-rays of three classes, at low resolution."""
    classes = ("covid", "normal", "viral_pneumonia")
    folders = [folder for label in classes for folder in sorted(_data().glob(f"cxr3/*/{label}"))]
    return _of_folders("chest X-rays", folders, 16, train=16, calibrate=19, asked=20)


MATERIALS: dict[str, Callable[[], Material]] = {"digits": digits, "omniglot": omniglot, "cxr3": cxr3}


def _data() -> Path:
    return Path(os.environ["NEARKIN_DATA"])


def _of_folders(name: str, folders: Sequence[Path], side: int, *, train: int, calibrate: int, asked: int) -> Material:
    paths = [(path, folder.name) for folder in folders for path in sorted(folder.iterdir())]
    rows = np.stack([_small(path, side) for path, _ in paths])
    kept = np.sort(np.unique(rows, axis=0, return_index=True)[1])  # an index refuses copies, and should
    labels = tuple(paths[row][1] for row in kept.tolist())
    return Material(name, rows[kept], labels, discriminant, train=train, calibrate=calibrate, asked=asked)


def _small(path: Path, side: int) -> FloatArray:
    with Image.open(path) as image:
        image.draft("L", (4 * side, 4 * side))  # a JPEG is decoded at that size: thirty times as fast
        small = image.convert("L").resize((side, side), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float32).ravel() / np.float32(255)
