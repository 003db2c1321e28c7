"""Classes searched one by one, which for a batch is quicker than to search all references and then what is left open.

Where classes lie apart, the balls around them rule most of them out before anything is searched. Where every class has
to be known, as each is about as near as the others, one round of the classes finds the nearest references on its way.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Self

import numpy as np
from numpy.typing import NDArray

from nearkin.contracts import FloatArray, IntArray
from nearkin.index.engines.raw import on_threads
from nearkin.index.found import Found
from nearkin.index.searcher import Searcher

BEGIN = 2**22
"""Products of two numbers that FAISS adds up in the time that it takes to begin with one class."""
MANY = 1000
"""Queries that are worth drawing balls for, where nothing else asks for these."""


def look_up_class_by_class(
    searcher: Searcher, queries: FloatArray, k: int, shown: int, reach: FloatArray
) -> Found | None:
    """As `clusters.look_up` says, on an exact engine; `None` where a search of all references costs less."""
    plan = Plan.of(searcher, queries, max(shown, k), reach)
    if plan is None:
        return None
    known = Known.nothing(searcher, queries, k, plan.least)
    some_left_out = ~plan.asked.all(axis=1)
    positions, distances = known.search_homes(np.where(some_left_out, plan.home, -1), max(shown, k))
    known.search(known.bounded & (plan.asked | (plan.least <= distances[:, -1:])))
    return known.found(positions[:, :shown], distances[:, :shown])


@dataclass(frozen=True, eq=False)
class Plan:
    """Which classes q queries begin with, and how near the others are."""

    home: IntArray
    """(q,) the class whose mean is nearest, of those that hold enough references."""
    least: FloatArray
    """(q, c) no reference of the class is nearer."""
    asked: NDArray[np.bool_]
    """(q, c) which have to be known whatever is found."""

    @classmethod
    def of(cls, searcher: Searcher, queries: FloatArray, width: int, reach: FloatArray) -> Self | None:
        """Where `width` references are to be found, and all classes within their `reach` (c,).

        `None` where a search of all references costs less, as far as one can guess.
        """
        counts, n_queries = searcher.references.counts, len(queries)
        begin = len(counts) * BEGIN / searcher.references.vectors.size  # as so many queries of all references
        able = np.flatnonzero(counts >= width)
        if (
            not searcher.in_store
            or begin > n_queries
            or not len(able)
            or (n_queries < MANY and not (reach > -np.inf).any())
        ):
            return None
        apart = searcher.balls.to_centres(queries)
        least = searcher.balls.bounds(apart)
        home = able[np.argmin(apart[:, able], axis=1)]
        asked = least <= reach
        about = searcher.balls.about(apart)[np.arange(n_queries), home]
        shares = counts / counts.sum()
        again = (asked @ shares).sum()
        by_class = ((asked | (least <= about[:, None])) @ shares).sum()
        return cls(home, least, asked) if begin + by_class <= n_queries + again else None


@dataclass(frozen=True, eq=False)
class Known:
    """What is known of q queries and c classes, (q, c) each; filled in place."""

    searcher: Searcher
    queries: FloatArray
    """(q, d)"""
    k: int
    nearest: FloatArray
    """To the nearest reference; where `bounded`, what it is at least."""
    at: IntArray
    """Position of the nearest reference, where it is not `bounded`."""
    second: FloatArray
    """What all references but the nearest are at least; infinite where `bounded`, and for homes."""
    kth: FloatArray
    """To the k-th nearest, or what that is at least; infinite where the class holds fewer."""
    bounded: NDArray[np.bool_]

    @classmethod
    def nothing(cls, searcher: Searcher, queries: FloatArray, k: int, least: FloatArray) -> Self:
        """But how near the classes are at the least."""
        kth = np.where(searcher.references.counts < k, np.float32(np.inf), least)
        at, second = np.zeros(least.shape, dtype=np.int64), np.full(least.shape, np.inf, dtype=np.float32)
        bounded = np.ones(least.shape, dtype=bool)
        # Filled a class at a time, so the numbers of a class lie side by side.
        return cls(searcher, queries, k, *map(np.asfortranarray, (least.copy(), at, second, kth, bounded)))

    def search_homes(self, home: IntArray, width: int) -> tuple[IntArray, FloatArray]:
        """(q,) a class for each query, or -1 -> positions and distances of its nearest references there, (q, width).

        Infinite where it has no class: all of them will be searched.
        """
        positions = np.full((len(home), width), -1, dtype=np.int64)
        distances = np.full((len(home), width), np.inf, dtype=np.float32)

        def search(code: int) -> None:
            rows = np.flatnonzero(home == code)
            positions[rows], distances[rows] = self._search(rows, code, width)
            self.second[rows, code] = np.inf

        on_threads(search, np.unique(home[home >= 0]).tolist())
        return positions, distances

    def search(self, which: NDArray[np.bool_]) -> None:
        """(q, c) the k nearest of these classes."""
        on_threads(
            lambda code: self._search(np.flatnonzero(which[:, code]), code, self.k),
            np.flatnonzero(which.any(axis=0)).tolist(),
        )

    def found(self, positions: IntArray, distances: FloatArray) -> Found:
        """All that is known, with the m nearest references of all, given the m nearest of the homes, (q, m)."""
        width = positions.shape[1]
        others = ~self.bounded & (self.at != positions[:, :1])
        so_far = np.concatenate([distances, np.where(others, self.nearest, np.inf)], axis=1)
        limit = np.partition(so_far, width - 1, axis=1)[:, width - 1 : width]
        deep = (self.second <= limit) & (self.second < np.inf)
        rows, codes = np.nonzero(others & ~deep & (self.nearest <= limit))
        near = [
            _listed(np.arange(len(positions)), positions, distances),
            (rows, self.at[rows, codes], self.nearest[rows, codes]),
            *on_threads(partial(self._deeper, deep, width), np.flatnonzero(deep.any(axis=0)).tolist()),
        ]
        positions, distances = _nearest_of(*(np.concatenate(parts) for parts in zip(*near, strict=True)), width=width)
        by_query = np.ascontiguousarray
        bounded = by_query(self.bounded)  # what was searched at all was searched for the k-th nearest
        return Found(by_query(self.nearest), by_query(self.kth), bounded.copy(), bounded, positions, distances)

    def _deeper(self, which: NDArray[np.bool_], width: int, code: int) -> tuple[IntArray, IntArray, FloatArray]:
        """(q, c) which classes of which queries -> of one class: the queries, positions and distances of the nearest
        references, one after the other."""
        rows = np.flatnonzero(which[:, code])
        near = self.searcher.nearest_among(self.queries[rows], self.searcher.references.of_class(code), width)
        return _listed(rows, near.positions, near.distances)

    def _search(self, rows: IntArray, code: int, width: int) -> tuple[IntArray, FloatArray]:
        """(r,) queries -> positions and distances of the nearest references of a class, (r, width or fewer)."""
        at = slice(None) if len(rows) == len(self.queries) else rows
        near = self.searcher.nearest_among(self.queries[at], self.searcher.references.of_class(code), width)
        self.nearest[at, code], self.at[at, code] = near.distances[:, 0], near.positions[:, 0]
        self.second[at, code] = near.distances[:, 1] if near.distances.shape[1] > 1 else near.floor
        if near.distances.shape[1] >= self.k:
            self.kth[at, code] = near.distances[:, self.k - 1]
        self.bounded[at, code] = False
        return near.positions, near.distances


def _listed(rows: IntArray, positions: IntArray, distances: FloatArray) -> tuple[IntArray, IntArray, FloatArray]:
    """(r,) queries with (r, m) references -> one after the other, (r * m,) each."""
    return np.repeat(rows, positions.shape[1]), positions.ravel(), distances.ravel()


def _nearest_of(
    rows: IntArray, positions: IntArray, distances: FloatArray, *, width: int
) -> tuple[IntArray, FloatArray]:
    """(t,) queries, every one `width` times or more, and references -> (q, width) the nearest, ties in order of ids."""
    order = np.lexsort((positions, distances, rows))
    begins = np.flatnonzero(np.diff(rows[order], prepend=-1))
    first = order[begins[:, None] + np.arange(width)]
    return positions[first], distances[first]
