"""What trained the model: remembered for good, whatever becomes of the references."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nearkin.contracts import FloatArray


@dataclass(frozen=True, eq=False)
class Trained:
    """Images, embeddings and groups that had a part in training, and so may never calibrate."""

    vectors: FloatArray
    """(t, d)"""
    bare: NDArray[np.bool_]
    """(t,) which of them came without a digest: an image with one may be the same. Of the others, digests tell."""
    digests: frozenset[str]
    groups: frozenset[str]

    @classmethod
    def empty(cls, dim: int, digests: Iterable[str] = (), groups: Iterable[str] = ()) -> Trained:
        """Nothing but the digests and groups that are known beforehand: those of the model and its ancestors."""
        vectors, bare = np.zeros((0, dim), dtype=np.float32), np.zeros(0, dtype=bool)
        return cls(vectors, bare, frozenset(digests), frozenset(groups) - {""})

    def joined(self, vectors: FloatArray, digests: Sequence[str], groups: Iterable[str]) -> Trained:
        """These too, each with its digest or none. Rows that are there already are not kept twice."""
        bare = np.array([not digest for digest in digests], dtype=bool)
        return self.merged(Trained(vectors, bare, frozenset(digests) - {""}, frozenset(groups) - {""}))

    def merged(self, other: Trained) -> Trained:
        """What either remembers."""
        together = np.concatenate([self.vectors, other.vectors])
        vectors, place = np.unique(together, axis=0, return_inverse=True)
        bare = np.zeros(len(vectors), dtype=bool)
        bare[place.ravel()[np.concatenate([self.bare, other.bare])]] = True
        return Trained(vectors.astype(np.float32), bare, self.digests | other.digests, self.groups | other.groups)
