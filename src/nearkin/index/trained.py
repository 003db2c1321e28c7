"""What trained the model: remembered for good, whatever becomes of the references."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from nearkin.contracts import FloatArray


@dataclass(frozen=True, eq=False)
class Trained:
    """Images, embeddings and groups that had a part in training, and so may never calibrate."""

    vectors: FloatArray
    """(t, d)"""
    digests: frozenset[str]
    groups: frozenset[str]

    @classmethod
    def empty(cls, dim: int, digests: Iterable[str] = (), groups: Iterable[str] = ()) -> Trained:
        """Nothing but the digests and groups that are known beforehand: those of the model and its ancestors."""
        return cls(np.zeros((0, dim), dtype=np.float32), frozenset(digests), frozenset(groups) - {""})

    def joined(self, vectors: FloatArray, digests: Iterable[str], groups: Iterable[str]) -> Trained:
        """These too. Rows that are there already are not kept twice."""
        together = np.unique(np.concatenate([self.vectors, vectors]), axis=0).astype(np.float32)
        return Trained(together, self.digests | set(digests) - {""}, self.groups | set(groups) - {""})
