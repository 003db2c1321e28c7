"""Retrieval among test images: how many of an image's nearest are of its class.

Each image asks for its class among all others. Images of its own group (the same patient) are no answers to it: they
are too easy. Images that trained the model take no part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nearkin.components.evaluators.askable import Askable, labelled
from nearkin.components.evaluators.intervals import graded_n, measured, resample
from nearkin.components.evaluators.options import RetrievalOptions
from nearkin.components.evaluators.pairwise import Pairwise, blocks
from nearkin.components.evaluators.ranking import Gallery, Ranking, Scores, all_tied, rank
from nearkin.components.evaluators.removal import changes
from nearkin.contracts import Figure, View

if TYPE_CHECKING:
    from nearkin.contracts import IntArray

TOO_FEW = "Retrieval needs test images of two classes, one of them in two groups at least."


class Retrieval:
    """Figures `precision_at_1`, `r_precision`, `map_at_r` and `recall_at_<k>`.

    Equal to pytorch-metric-learning's AccuracyCalculator where nothing ties and no group holds several images.
    """

    def __init__(self, options: RetrievalOptions) -> None:
        self.options = options

    def evaluate(self, view: View) -> Sequence[Figure]:
        """Means over all images that have another of their class to find."""
        items = labelled(view, self.options.classes)
        asked = Asked.of(items)
        details = {"left_out": {**items.left_out, "nothing_to_find": len(items) - len(asked.rows)}}
        notes = self._why_not(asked)
        ks = [k for k in self.options.recall_at if not notes[f"recall_at_{k}"]]
        pairwise = Pairwise(view.embeddings[items.rows], view.index.metric)
        found = {} if all(notes.values()) else scored(asked, pairwise, ks)
        weights = resample(items, self.options.resamples, np.random.default_rng([view.seed, 2]))
        return [
            Figure(name, None, note=note, details=details, better="higher")
            if note
            else asked.figure(name, found[name], weights, details)
            for name, note in notes.items()
        ]

    def _why_not(self, asked: Asked) -> dict[str, str]:
        """Of each figure: why it cannot be measured, or nothing."""
        few = "" if len(asked.rows) and len(np.unique(asked.items.codes)) > 1 else TOO_FEW
        others = int(asked.gallery.size.min(initial=np.iinfo(np.int64).max))
        notes = dict.fromkeys(("precision_at_1", "r_precision", "map_at_r"), few)
        for k in self.options.recall_at:
            notes[f"recall_at_{k}"] = few or (f"An image has {others} others to find, not {k}." if k > others else "")
        return notes


@dataclass(frozen=True)
class Found:
    """One score of every query, and what stands behind it."""

    scores: Scores
    """(q,) in expectation over the order of ties."""
    worth: Scores
    """(n,) how much lower all scores together would be without this item as an answer."""
    chance: Scores
    """(q,) were all answers equally near."""


@dataclass(frozen=True)
class Asked:
    """Items that ask, among items that answer."""

    items: Askable
    rows: IntArray
    """(q,) positions of those that have an answer."""
    gallery: Gallery
    """Of these."""

    @classmethod
    def of(cls, items: Askable) -> Asked:
        """Every item against all that are not of its unit."""
        codes, units = items.codes, items.units
        per_class, per_unit = np.bincount(codes), np.bincount(units)
        both, place = np.unique(np.stack([codes, units]), axis=1, return_inverse=True)
        own = np.bincount(place.reshape(-1), minlength=both.shape[1])[place.reshape(-1)]
        relevant, size = per_class[codes] - own, len(items) - per_unit[units]
        rows = np.flatnonzero(relevant)
        return cls(items, rows, Gallery(relevant[rows], size[rows]))

    def figure(self, name: str, found: Found, weights: IntArray, details: Mapping[str, Any]) -> Figure:
        """The mean score. Its resamples move with each image's own score and with its worth to the others."""
        value = float(found.scores.mean())
        influence = found.worth.copy()
        influence[self.rows] += found.scores - value
        replicates = value + (weights - 1) @ influence / len(self.rows)
        units = self.items.units[self.rows]
        return measured(
            name,
            value,
            replicates,
            self.items,
            n=len(np.unique(units)),
            effective_n=graded_n(found.scores, units),
            note=f"{len(self.rows)} images, each asking among the others; ties count in expectation.",
            details=details,
            better="higher",
            chance=float(found.chance.mean()),
        )


def scored(asked: Asked, pairwise: Pairwise, ks: Sequence[int]) -> dict[str, Found]:
    """Every score, by name."""
    items, gallery = asked.items, asked.gallery
    scores: dict[str, list[Scores]] = {}
    worth: dict[str, Scores] = {}
    for rows in blocks(asked.rows, len(items)):
        ranking = nearest(pairwise, items, rows, ks)
        for name, found in query_scores(ranking, ks).items():
            scores.setdefault(name, []).append(found)
        for name, change in changes(ranking, ks).items():
            worth.setdefault(name, np.zeros(len(items)))
            worth[name] -= np.bincount(ranking.neighbours.ravel(), change.ravel(), minlength=len(items))
    chance = all_tied(gallery, ks)
    return {name: Found(np.concatenate(scores[name]), worth[name], chance[name]) for name in scores}


def nearest(pairwise: Pairwise, items: Askable, rows: IntArray, ks: Sequence[int]) -> Ranking:
    """The nearest of some items among all of other units, one rank deeper than any score looks."""
    distances = pairwise.rows(rows)
    relevant = items.codes[rows, None] == items.codes
    own = items.units[rows, None] == items.units
    distances[own] = np.inf
    relevant &= ~own
    return rank(distances, relevant, max([int(np.count_nonzero(relevant, axis=1).max()), *ks]) + 1)


def query_scores(ranking: Ranking, ks: Sequence[int]) -> dict[str, Scores]:
    """Of each score: (q,) the queries'."""
    return {
        "precision_at_1": ranking.precision_at_1(),
        "r_precision": ranking.r_precision(),
        "map_at_r": ranking.map_at_r(),
        **{f"recall_at_{k}": ranking.recall_at(k) for k in ks},
    }
