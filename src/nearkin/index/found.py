"""What a search of the clusters found."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nearkin.contracts import FloatArray, IntArray


@dataclass(frozen=True)
class Found:
    """What q queries found among c clusters."""

    nearest: FloatArray
    """(q, c) distance to each class's nearest reference; where `bounded`, what it is at least."""
    kth: FloatArray
    """(q, c) distance to each class's k-th nearest, or what it is at least; infinite where it holds fewer, and where
    an approximate engine did not find so many."""
    loose: NDArray[np.bool_]
    """(q, c) whether `kth` is only what it is at least."""
    bounded: NDArray[np.bool_]
    """(q, c) whether no reference of the class is among those found."""
    positions: IntArray
    """(q, m) the nearest references, nearest first."""
    distances: FloatArray
    """(q, m) how far they are."""
