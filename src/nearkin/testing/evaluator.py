"""What every evaluator promises."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property

import numpy as np

from nearkin.contracts import Build, Embedded, Evaluator, Figure, FloatArray, LabelledEmbeddings, View
from nearkin.evaluation.differences import as_json
from nearkin.evaluation.figures import figures_problem
from nearkin.index import Index
from nearkin.index.space import Space

KNOWN, UNKNOWN = ("ant", "bee", "cat"), ("dog", "elk")
EACH, DIMS, CALIBRATION = 14, 6, 12


class EvaluatorContract:
    """Subclass and implement `make`.

    The suite asks about fourteen test images of each of three known and two unknown classes, two a group, in a
    calibrated index of three references a class.
    """

    def make(self, build: Build) -> Evaluator:
        """The evaluator, with options that so few images are enough for."""
        raise NotImplementedError("say how your evaluator is made")

    @cached_property
    def apart(self) -> View:
        """Classes that lie apart, and overlap a little."""
        return a_view(spread=1.0)

    def test_a_figure_has_a_name_of_its_own_and_a_value_or_the_reason_for_none(self) -> None:
        """Figures of one evaluator are told apart by name."""
        found = self.figures(self.apart)
        assert found
        assert len({figure.name for figure in found}) == len(found)
        assert [figure.name for figure in found if figure.value is None and not figure.note] == []

    def test_figures_are_what_a_run_can_keep_whatever_images_there_are(self) -> None:
        """Plain finite numbers within their intervals, or the reason; without select, known or unknown images too."""
        known = np.array([label in KNOWN for label in self.apart.labels])
        some = [rows(self.apart, np.flatnonzero(kept)) for kept in (known, ~known)]
        for view in (self.apart, replace(self.apart, select=None), *some):
            figures = self.figures(view)
            assert figures_problem(figures) == ""
            json.dumps([as_json(figure) for figure in figures], allow_nan=False)
            assert all(math.isfinite(replicate) for figure in figures for replicate in figure.replicates)

    def test_the_index_is_asked_as_the_view_says(self) -> None:
        """By `view.asked(rows)`: the outlier score may look in a space of its own."""
        assert self.figures(a_view(spread=1.0, in_space=True))

    def test_the_same_view_gives_the_same_figures_in_any_order_of_its_images(self) -> None:
        """Draws follow the view's seed, and not the order of its items."""
        expected = list(told(self.figures(self.apart)))
        assert list(told(self.figures(self.apart))) == expected
        order = np.random.default_rng(1).permutation(len(self.apart.labels))
        assert list(told(self.figures(rows(self.apart, order)))) == expected

    def test_no_figure_rests_on_images_that_the_model_has_seen(self) -> None:
        """With them or without them, values are the same."""
        seen = replace(self.apart, seen_digests=frozenset(self.apart.digests[::EACH]))
        unseen = np.array([place for place in range(len(seen.labels)) if place % EACH])
        assert list(told(self.figures(seen))) == list(told(self.figures(rows(seen, unseen))))

    def test_one_embedding_for_everything_scores_no_better_than_chance(self) -> None:
        """Whatever says what chance scores says which way is better too."""
        for figure in self.figures(a_view(spread=0.0)):
            assert figure.chance is None or figure.better is not None, figure.name
            if figure.value is not None and figure.chance is not None:
                gain = figure.value - figure.chance
                assert (gain if figure.better == "higher" else -gain) <= 1e-9, figure.name

    def figures(self, view: View) -> list[Figure]:
        """Of an evaluator made anew."""
        return list(self.make(Build(seed=0, classes=view.classes)).evaluate(view))


def told(figures: list[Figure]) -> Iterator[tuple[str, float | None, float | None, float | None]]:
    """What must not move: names, values, intervals."""
    yield from ((figure.name, figure.value, figure.low, figure.high) for figure in figures)


def rows(view: View, places: np.ndarray[tuple[int], np.dtype[np.int64]]) -> View:
    """Some items of a view, in this order."""
    labels, groups, digests = (tuple(of[place] for place in places) for of in (view.labels, view.groups, view.digests))
    space = None if view.space is None else view.space[places]
    return replace(view, embeddings=view.embeddings[places], space=space, labels=labels, groups=groups, digests=digests)


def a_view(*, spread: float, in_space: bool = False) -> View:
    """Test images and an index of the same classes; at a `spread` of 0 all lie at one point.

    `in_space`: the outlier score looks at the first three dimensions alone.
    """
    space = Space("three dimensions", (3,), "l2", False) if in_space else None

    def placed(vectors: FloatArray) -> Embedded:
        return Embedded(vectors, space=vectors[:, :3] if in_space else None)

    labels = [label for label in (*KNOWN, *UNKNOWN) for _ in range(EACH)]
    held = [label for label in KNOWN for _ in range(3)]
    calibration = [label for label in KNOWN for _ in range(CALIBRATION)]
    index = Index(metric="l2", class_rule="nearest", dim=DIMS, alpha=0.2, space=space)
    index.add(placed(around(held, spread, seed=1)), held)
    # A little beside: an index refuses to calibrate on its own references.
    index.calibrate(placed(around(calibration, spread, seed=2) + np.float32(1e-3)), calibration)
    chosen = tuple(label for label in KNOWN for _ in range(4))
    own = tuple(f"select-{place}" for place in range(len(chosen)))
    asked = placed(around(labels, spread, seed=3))
    return View(
        name="model",
        embeddings=asked.vectors,
        space=asked.space,
        labels=tuple(labels),
        groups=tuple(f"group-{place // 2}" for place in range(len(labels))),
        digests=tuple(f"image-{place}" for place in range(len(labels))),
        classes=KNOWN,
        seen_digests=frozenset(),
        index=index,
        seed=0,
        select=LabelledEmbeddings(around(list(chosen), spread, seed=4), chosen, own, own),
    )


def around(labels: list[str], spread: float, *, seed: int) -> FloatArray:
    """(n, 6): each image around the centre of its class."""
    rng = np.random.default_rng(seed)
    centres = {label: 2 * np.eye(DIMS)[place] for place, label in enumerate((*KNOWN, *UNKNOWN))}
    drawn = np.stack([centres[label] for label in labels]) + rng.normal(size=(len(labels), DIMS))
    moved: FloatArray = (1 + spread * drawn).astype(np.float32)
    return moved
