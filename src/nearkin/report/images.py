"""What the report shows of test images: the plane of clusters, and maps of where the network looks."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO

import numpy as np
from PIL import Image

from nearkin.contracts import Answer, FloatArray
from nearkin.data import Dataset, ImageStore, Item
from nearkin.embeddings import EmbeddingCache
from nearkin.evaluation.views import reopen_data
from nearkin.explaining import explain_prepared, overlay
from nearkin.report.chart import COLOURS, Dot, scatter
from nearkin.run import Run
from nearkin.training.watch import Watch

MOST_DOTS = 1500
"""More make the page heavy and the plane no clearer."""
GRAY = "#999999"


@dataclass(frozen=True, eq=False)
class Shown:
    """A run's test images with their answers."""

    run: Run
    dataset: Dataset
    store: ImageStore
    vectors: FloatArray
    """(n, d) of the test images."""
    answers: Sequence[Answer]

    @classmethod
    def of(cls, run: Run, watch: Watch) -> Shown:
        """Its images read again. `DataError` where they are not here, `DamagedError` where they are others."""
        dataset, store = reopen_data(run, watch)
        own, *folds = (
            EmbeddingCache(one.folder.embeddings, one.model, unkept=watch.message).embed(store, dataset.items["test"])
            for one in (run, *run.folds)
        )
        asked = not run.model.no_index and len(run.index) and len(own)
        return cls(run, dataset, store, own.vectors, run.index.query(replace(own, folds=tuple(folds))) if asked else [])


@dataclass(frozen=True)
class Map:
    """Where the network looks in one image."""

    picture: str
    """A data URI."""
    text: str


@dataclass(frozen=True)
class Plane:
    """References and test images in two dimensions."""

    svg: str
    key: Sequence[tuple[str, str]]
    """(class, colour)."""
    share: float
    """Of the variance, that it shows."""
    drawn: int
    dots: int
    """How many there are; of them `drawn` are."""

    @property
    def shared_colours(self) -> bool:
        """Whether some classes have one colour."""
        return len(self.key) > len(COLOURS)


def clusters(shown: Shown) -> Plane:
    """The plane of the first two principal components."""
    references, test = shown.run.index.references, shown.dataset.items["test"]
    added = sorted({*references.labels} - {*shown.dataset.classes})
    colours = {label: COLOURS[n % len(COLOURS)] for n, label in enumerate([*shown.dataset.classes, *added])}
    places, share = _in_two(np.concatenate([references.vectors, shown.vectors]))
    of_references, of_test = places[: len(references)].tolist(), places[len(references) :].tolist()
    named = zip(references.labels, references.sources, of_references, strict=True)
    dots = [Dot(x, y, colours[label], "full", f"{label}: reference {source}") for label, source, (x, y) in named]
    for item, answer, (x, y) in zip(test, shown.answers, of_test, strict=True):
        known = item.label in colours
        title = f"{item.label}: {item.key}, answered {answer.label}, {answer.status or 'undecided'}"
        dots.append(Dot(x, y, colours.get(item.label, GRAY), "ring" if known else "cross", title))
    chosen = np.sort(np.random.default_rng(0).permutation(len(dots))[:MOST_DOTS])
    return Plane(scatter([dots[row] for row in chosen]), list(colours.items()), share, len(chosen), len(dots))


def _in_two(vectors: FloatArray) -> tuple[FloatArray, float]:
    """(n, d) -> (n, 2), and the share of the variance; of embeddings of one dimension the second is 0."""
    from sklearn.decomposition import PCA

    components = min(2, *vectors.shape)
    plane = PCA(components, random_state=0)
    places = plane.fit_transform(vectors)
    ratio = plane.explained_variance_ratio_.sum()
    return np.pad(places, [(0, 0), (0, 2 - components)]), float(ratio)


def maps(shown: Shown, count: int, watch: Watch) -> list[Map]:
    """Of `count` test images: a wrong answer of each class first, then the first image of each."""
    found = []
    for done, row in enumerate(chosen_rows(shown, count)):
        watch.progress("looking where the network looks", done, count)
        item, answer = shown.dataset.items["test"][row], shown.answers[row]
        explanation = explain_prepared(shown.run, shown.store.images([item])[0])
        said = f"{item.key}, {item.label}: {explanation.of} ({answer.status or 'undecided'})"
        found.append(Map(data_uri(overlay(explanation)), said))
    return found


def chosen_rows(shown: Shown, count: int) -> list[int]:
    """Rows of the test images: by a rule that looks at answers, never at maps."""
    test, known = shown.dataset.items["test"], set(shown.run.index.labels)

    def firsts(wanted: Sequence[bool]) -> list[int]:
        rows: dict[str, int] = {}
        for row, (item, yes) in enumerate(zip(test, wanted, strict=True)):
            if yes:
                rows.setdefault(item.label, row)
        return list(rows.values())

    wrong = [_is_wrong(item, answer, known) for item, answer in zip(test, shown.answers, strict=True)]
    return list(dict.fromkeys([*firsts(wrong), *firsts([True] * len(test))]))[:count]


def _is_wrong(item: Item, answer: Answer, known: set[str]) -> bool:
    """Another cluster; for an unknown class, not to be told unknown."""
    return answer.label != item.label if item.label in known else answer.status == "known"


def data_uri(image: Image.Image) -> str:
    """A PNG inside the page."""
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
