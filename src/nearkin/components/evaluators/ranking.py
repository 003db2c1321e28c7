"""Neighbours in order of distance, and the retrieval scores of each query in expectation over the order of ties.

Equally near neighbours have no order of their own, so a query's score is its mean over all orders of them: McSherry &
Najork 2008, "Computing information retrieval performance measures efficiently in the presence of tied scores".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from nearkin.contracts import FloatArray, IntArray

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Gallery:
    """What q queries of one class look among."""

    relevant: IntArray
    """(q,) R: how many are of the query's class."""
    size: IntArray
    """(q,) how many there are in all."""


@dataclass(frozen=True)
class Ranking:
    """The k nearest of q queries, nearest first; ties stand together, in any order.

    A tie of `tied` neighbours begins after `nearer` others; `tied_hits` of it and `nearer_hits` of those are relevant.
    Where the last tie reaches beyond k, it counts whole.
    """

    neighbours: IntArray
    """(q, k) positions among all items."""
    hits: NDArray[np.bool_]
    """(q, k) whether the neighbour is of the query's class, in the order given."""
    nearer: IntArray
    nearer_hits: IntArray
    tied: IntArray
    tied_hits: IntArray
    gallery: Gallery

    def hit_chance(self) -> Scores:
        """(q, k) the chance that the neighbour at this rank is relevant."""
        chances: Scores = self.tied_hits / self.tied
        return chances

    def precision_at_1(self) -> Scores:
        """(q,) whether the nearest neighbour is relevant."""
        return self.hit_chance()[:, 0]

    def r_precision(self) -> Scores:
        """(q,) the share of the R nearest that are relevant."""
        within = self._ranks() <= self.gallery.relevant[:, None]
        shares: Scores = (self.hit_chance() * within).sum(axis=1) / self.gallery.relevant
        return shares

    def map_at_r(self) -> Scores:
        """(q,) the mean over ranks 1 to R of the precision at that rank where it is relevant, else 0.

        Musgrave, Belongie & Lim 2020, "A metric learning reality check", eq. 3.
        """
        ranks = self._ranks()
        into = ranks - self.nearer - 1
        # Given that this one is relevant, so is each of the others of its tie with the same chance.
        others = (self.tied_hits - 1) / np.maximum(self.tied - 1, 1)
        precision = (self.nearer_hits + 1 + into * others) / ranks
        within = ranks <= self.gallery.relevant[:, None]
        means: Scores = (self.hit_chance() * precision * within).sum(axis=1) / self.gallery.relevant
        return means

    def recall_at(self, k: int) -> Scores:
        """(q,) whether any of the k nearest is relevant."""
        at = k - 1
        missed = chance_of_none(self.tied[:, at], self.tied_hits[:, at], k - self.nearer[:, at])
        found: Scores = np.where(self.nearer_hits[:, at] > 0, 1.0, 1 - missed)
        return found

    def _ranks(self) -> IntArray:
        """(k,) 1, 2, 3, ..."""
        return np.arange(1, self.hits.shape[1] + 1)


def rank(distances: FloatArray, relevant: NDArray[np.bool_], depth: int) -> Ranking:
    """The `depth` nearest of each query: (q, n) distances, (q, n) whether it is relevant.

    What a query may not find is infinitely far and not relevant.
    """
    import torch

    found, order = torch.topk(torch.from_numpy(distances), min(depth, distances.shape[1]), largest=False)
    near, neighbours = found.numpy(), order.numpy()
    hits = np.take_along_axis(relevant, neighbours, axis=1)
    first, last = tie_bounds(near)
    # (q, k + 1) relevant ones before each rank.
    before = np.concatenate([np.zeros((len(hits), 1), np.int64), np.cumsum(hits, axis=1)], axis=1)
    nearer_hits = np.take_along_axis(before, first, axis=1)
    tied, tied_hits = last + 1 - first, np.take_along_axis(before, last + 1, axis=1) - nearer_hits
    in_last = last == near.shape[1] - 1
    boundary = distances == near[:, -1:]
    tied = np.where(in_last, np.count_nonzero(boundary, axis=1)[:, None], tied)
    tied_hits = np.where(in_last, np.count_nonzero(boundary & relevant, axis=1)[:, None], tied_hits)
    gallery = Gallery(np.count_nonzero(relevant, axis=1), np.count_nonzero(np.isfinite(distances), axis=1))
    return Ranking(neighbours, hits, first, nearer_hits, tied, tied_hits, gallery)


def tie_bounds(near: FloatArray) -> tuple[IntArray, IntArray]:
    """(q, k) sorted distances -> (q, k) first and last place of the tie that each is in."""
    places = np.arange(near.shape[1])
    changes = near[:, 1:] != near[:, :-1]
    edge = np.ones((len(near), 1), dtype=bool)
    begins, ends = np.concatenate([edge, changes], axis=1), np.concatenate([changes, edge], axis=1)
    first = np.maximum.accumulate(np.where(begins, places, 0), axis=1)
    last = np.minimum.accumulate(np.where(ends, places, places[-1])[:, ::-1], axis=1)[:, ::-1]
    return first, last


def chance_of_none(n: IntArray, n_hits: IntArray, draws: IntArray) -> Scores:
    """The chance that none of `n_hits` of n is among `draws` drawn without replacement; all (q,)."""
    from scipy.special import gammaln

    misses = n - n_hits
    short = misses < draws
    draws = np.where(short, 0, draws)
    log_chance = gammaln(misses + 1) + gammaln(n - draws + 1) - gammaln(misses - draws + 1) - gammaln(n + 1)
    chances: Scores = np.where(short, 0.0, np.exp(np.minimum(log_chance, 0.0)))
    return chances


# ------------------------------------------------------------------------------------------------ no order at all


def all_tied(gallery: Gallery, ks: Sequence[int]) -> dict[str, Scores]:
    """The scores of queries to whom all neighbours are equally near: what a random order gets on average."""
    from scipy.special import digamma

    relevant, size = gallery.relevant, gallery.size
    others = (relevant - 1) / np.maximum(size - 1, 1)
    harmonic = digamma(relevant + 1) + np.euler_gamma
    share: Scores = relevant / size
    return {
        "precision_at_1": share,
        "r_precision": share,
        "map_at_r": ((1 - others) * harmonic + relevant * others) / size,
        **{f"recall_at_{k}": 1 - chance_of_none(size, relevant, np.minimum(k, size)) for k in ks},
    }
