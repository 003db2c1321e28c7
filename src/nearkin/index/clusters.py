"""Clusters: how near each is to a query, and which one the class rule names."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from nearkin.contracts import ClassRule, FloatArray, IntArray, Metric, Neighbor
from nearkin.index.candidates import Candidates
from nearkin.index.class_by_class import look_up_class_by_class
from nearkin.index.distances import HELD, distances, row_chunks
from nearkin.index.found import Found
from nearkin.index.references import References
from nearkin.index.searcher import SPARE, Searcher

FIRST = 64
"""References that the search of a query begins with."""
A_CLASS = 2**14
"""Numbers that are measured in the time that it takes to begin with one class more."""
CANDIDATES = 128
"""References that an approximate engine is asked for, always the same number: a class that has none among them is as
far as anything can be, for calibration items and queries alike. So the promise holds whatever the engine misses."""


def look_up(
    searcher: Searcher, queries: FloatArray, *, k: int, neighbors: int = 1, reach: FloatArray | None = None
) -> Found:
    """The nearest references of (q, d) queries, and how far every class is.

    On an exact engine it goes on until no class that was not found k times can be as near as its `reach` (c,); left
    out: until every class was found.
    """
    if searcher.looks_at_all:
        chunks = row_chunks(len(queries), len(searcher.references), HELD)
        parts = [_look_at_all(searcher, queries[rows], k, neighbors) for rows in chunks]
    else:
        chunks = row_chunks(len(queries), max(len(searcher.references.classes), FIRST), HELD)
        far = np.full(len(searcher.references.classes), np.inf, dtype=np.float32) if reach is None else reach
        look = _look_up if searcher.engine.exact else _look_up_roughly
        parts = [look(searcher, queries[rows], k, neighbors, far) for rows in chunks]
    if len(parts) == 1:
        return parts[0]
    return Found(*(np.concatenate([getattr(part, name) for part in parts]) for name in Found.__annotations__))


def _look_at_all(searcher: Searcher, queries: FloatArray, k: int, neighbors: int) -> Found:
    """Where there are so few references that measuring each is the quickest search: nothing is bounded."""
    references = searcher.references
    apart = distances(queries, references.vectors, searcher.metric)
    positions = np.argsort(apart, axis=1, kind="stable")[:, :neighbors]  # ties in the order of ids
    side_by_side = apart[:, references.by_class]
    nearest = np.minimum.reduceat(side_by_side, references.starts, axis=1)
    kth = nearest if k == 1 else _kth_of_each(references, side_by_side, k)
    loose, bounded = np.zeros((2, *nearest.shape), dtype=bool)
    return Found(nearest, kth, loose, bounded, positions, apart[np.arange(len(apart))[:, None], positions])


def _kth_of_each(references: References, side_by_side: FloatArray, k: int) -> FloatArray:
    """(q, n), classes side by side -> (q, c): the k-th smallest of each class, infinite where it holds fewer."""
    kth = np.full((len(side_by_side), len(references.classes)), np.inf, dtype=np.float32)
    for code, (start, count) in enumerate(zip(references.starts.tolist(), references.counts.tolist(), strict=True)):
        if count >= k:
            kth[:, code] = np.partition(side_by_side[:, start : start + count], k - 1, axis=1)[:, k - 1]
    return kth


def _look_up(searcher: Searcher, queries: FloatArray, k: int, neighbors: int, reach: FloatArray) -> Found:
    references = searcher.references
    shown = min(neighbors, len(references))
    quicker = look_up_class_by_class(searcher, queries, k, shown, reach)
    if quicker is not None:
        return quicker
    near = searcher.near(queries, max(FIRST, neighbors + SPARE), shown=shown, k=k)
    found = _by_class(references, near, k, near.floor)
    _decide_classes(searcher, queries, k, found, near.floor, reach)
    unsure = np.flatnonzero(near.distances[:, shown - 1] >= near.floor)
    positions, distances = near.positions[:, :shown].copy(), near.distances[:, :shown].copy()
    if len(unsure):
        positions[unsure], distances[unsure] = searcher.search(queries[unsure], shown)
    return replace(found, positions=positions, distances=distances)


def _decide_classes(
    searcher: Searcher, queries: FloatArray, k: int, found: Found, floor: FloatArray, reach: FloatArray
) -> None:
    """Go on, in place, until no class that was not found k times can be as near as its reach.

    First by how near a class can be at all; those that are left are measured, a class at a time. Where no class was
    found k times, all are, for the least of their scores is the query's.
    """
    references, able = searcher.references, searcher.references.counts >= k
    nowhere = (found.kth == floor[:, None])[:, able].all(axis=1) & able.any()
    reach = np.where(nowhere[:, None], np.float32(np.inf), reach)
    open_ = (np.where(references.counts >= k, found.kth, found.nearest) == floor[:, None]) & (floor[:, None] <= reach)
    rows = np.flatnonzero(open_.any(axis=1))
    if len(rows) and np.isfinite(reach).any():
        least = np.where(open_[rows], searcher.balls.at_least(queries[rows]), 0)
        found.kth[rows] = np.maximum(found.kth[rows], least)
        found.nearest[rows] = np.where(found.bounded[rows], np.maximum(found.nearest[rows], least), found.nearest[rows])
        open_[rows] &= least <= reach[rows]
        rows = np.flatnonzero(open_.any(axis=1))
    codes = np.flatnonzero(open_.any(axis=0))
    if len(codes) * A_CLASS > len(rows) * references.vectors.size:
        for some in row_chunks(len(rows), len(references), HELD):
            whole = _look_at_all(searcher, queries[rows[some]], k, 1)
            for name in ("nearest", "kth", "loose", "bounded"):
                getattr(found, name)[rows[some]] = getattr(whole, name)
        return
    for code in codes.tolist():
        rows = np.flatnonzero(open_[:, code])
        apart = searcher.nearest_among(queries[rows], references.of_class(code), k).distances
        found.nearest[rows, code] = apart[:, 0]
        found.kth[rows, code] = apart[:, -1] if references.counts[code] >= k else np.inf
        found.loose[rows, code] = found.bounded[rows, code] = False


def _look_up_roughly(searcher: Searcher, queries: FloatArray, k: int, neighbors: int, reach: FloatArray) -> Found:
    """By an approximate engine: what is not among its candidates is as far as anything can be."""
    near = searcher.near(queries, CANDIDATES, shown=CANDIDATES)
    last = np.where(np.isfinite(near.distances), near.distances, 0).max(axis=1)
    part = _by_class(searcher.references, near, k, last)
    part.kth[part.kth >= last[:, None]] = np.inf
    positions, distances = near.positions, near.distances
    if neighbors > CANDIDATES or not np.isfinite(distances[:, : min(neighbors, len(searcher.references))]).all():
        positions, distances = searcher.search(queries, neighbors)
    return Found(part.nearest, part.kth, part.bounded, part.bounded, positions[:, :neighbors], distances[:, :neighbors])


def _by_class(references: References, near: Candidates, k: int, floor: FloatArray) -> Found:
    """Candidates by their classes; what is not among them is at least as far as the floor."""
    q, c = len(near.positions), len(references.classes)
    nearest = np.repeat(floor[:, None], c, axis=1)
    kth = nearest.copy()
    known = np.isfinite(near.distances) & (near.distances <= floor[:, None])
    rows, at = np.nonzero(known)
    keys = rows * c + references.codes[near.positions[rows, at]]
    order = np.argsort(keys, kind="stable")  # nearest first within each class of each query
    keys, apart = keys[order], near.distances[rows, at][order]
    begins = np.flatnonzero(np.diff(keys, prepend=-1))
    nearest.ravel()[keys[begins]] = apart[begins]
    loose, bounded = np.ones((2, q, c), dtype=bool)
    bounded.ravel()[keys[begins]] = False
    many = np.diff(np.append(begins, len(keys))) >= k
    kth.ravel()[keys[begins[many]]] = apart[begins[many] + k - 1]
    loose.ravel()[keys[begins[many]]] = False
    few = references.counts < k
    kth[:, few], loose[:, few] = np.inf, False
    return Found(nearest, kth, loose, bounded, near.positions, near.distances)


def own_kth(searcher: Searcher, vectors: FloatArray, codes: IntArray, k: int) -> FloatArray:
    """(m, d) items, (m,) codes of their classes -> (m,) distance of each to the k-th nearest of its own class.

    Through the engine where it is not exact: queries are scored as it finds, so calibration items must be too.
    """
    if not searcher.engine.exact:
        return np.asarray(look_up(searcher, vectors, k=k).kth[np.arange(len(codes)), codes])
    own = np.full(len(codes), np.inf, dtype=np.float32)
    for code in np.unique(codes).tolist():
        items, references = np.flatnonzero(codes == code), searcher.references
        if references.counts[code] >= k:
            apart = distances(vectors[items], references.vectors[references.of_class(code)], searcher.metric)
            own[items] = np.partition(apart, k - 1, axis=1)[:, k - 1]
    return own


def kth_outside_group(
    references: References, looked_at: FloatArray, metric: Metric, vectors: FloatArray, codes: IntArray,
    groups: Sequence[str], ids: IntArray, k: int,
) -> FloatArray:  # fmt: skip
    """(m, e) references with their classes, groups and ids -> (m,) how far the k-th nearest outside the own group is.

    Where all of them lie is (n, e) `looked_at`: the embeddings, or the score's own space. Infinite where there is
    none. A reference without a group is a group of its own.
    """
    own = np.full(len(codes), np.inf, dtype=np.float32)
    code_of = {group: code for code, group in enumerate(references.groups.words) if group}
    group_codes = np.array([code_of.get(group, -1) for group in groups], dtype=np.int64)
    for code in np.unique(codes).tolist():
        members, items = references.of_class(code), np.flatnonzero(codes == code)
        for rows in row_chunks(len(items), len(members), HELD):
            asked = items[rows, None]
            apart = distances(vectors[asked[:, 0]], looked_at[members], metric)
            apart[group_codes[asked] == references.groups.codes[members]] = np.inf
            apart[ids[asked] == references.ids[members]] = np.inf
            if len(members) >= k:
                own[asked[:, 0]] = np.partition(apart, k - 1, axis=1)[:, k - 1]
    return own


def sharpened(searcher: Searcher, queries: FloatArray, codes: IntArray, found: Found, k: int) -> Found:
    """With the distances to the class that is named, (q,) codes, measured where they were not found."""
    each = np.arange(len(codes))
    for row in np.flatnonzero(found.bounded[each, codes] | found.loose[each, codes]).tolist():
        code = codes[row]
        members = searcher.references.vectors[searcher.references.of_class(code)]
        apart = np.sort(distances(queries[row : row + 1], members, searcher.metric)[0])
        found.nearest[row, code] = apart[0]
        if searcher.engine.exact and len(apart) >= k:  # another scores as it finds
            found.kth[row, code] = apart[k - 1]
        found.loose[row, code] = found.bounded[row, code] = False
    return found


def name(
    rule: ClassRule,
    references: References,
    queries: FloatArray,
    nearest: FloatArray,
    bounded: NDArray[np.bool_],
    metric: Metric,
) -> IntArray:
    """(q, d) queries, (q, c) nearest distances -> (q,) code of the class that the rule names. Ties: smallest label."""
    if rule == "prototype":
        return np.asarray(np.argmin(distances(queries, references.means, metric), axis=1))
    if rule == "attention":
        chunks = row_chunks(len(queries), len(references), HELD)
        return np.concatenate([np.argmax(attention(references, queries[rows]), axis=1) for rows in chunks])
    return np.asarray(np.argmin(np.where(bounded, np.inf, nearest), axis=1))


def attention(references: References, queries: FloatArray) -> NDArray[np.float64]:
    """(q, d) -> (q, c): the share of a softmax over cosines to all references that falls on each class.

    Vinyals et al. 2016, Matching Networks, eq. 1.
    """
    cosines = 1 - distances(queries, references.vectors, "cosine").astype(np.float64)
    weights = np.exp(cosines)[:, references.by_class]
    ends = references.starts + references.counts
    columns = zip(references.starts, ends, strict=True)
    per_class = np.stack([weights[:, start:end].sum(axis=1) for start, end in columns], axis=1)
    shares: NDArray[np.float64] = per_class / per_class.sum(axis=1, keepdims=True)
    return shares


def neighbors(references: References, positions: IntArray, apart: FloatArray) -> list[tuple[Neighbor, ...]]:
    """(q, m) positions of references and their distances -> the references in full."""
    found = apart < math.inf  # an engine may propose fewer than it is asked for
    at, far = positions[found], apart[found].tolist()
    texts = [column.at(at) for column in (references.labels, references.sources, references.groups)]
    each = map(Neighbor, references.ids[at].tolist(), texts[0], far, *texts[1:])
    return [tuple(islice(each, count)) for count in np.count_nonzero(found, axis=1).tolist()]
