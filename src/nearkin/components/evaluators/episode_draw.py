"""Episodes of test items: drawn many at once, support and queries never of one group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nearkin.components.evaluators.askable import Askable

if TYPE_CHECKING:
    from nearkin.contracts import IntArray

BLOCK = 1024
"""Episodes drawn at a time: what is held grows with it."""


@dataclass(frozen=True)
class Pool:
    """Classes that may meet in one episode, and their items, a class a row."""

    name: str
    """Their parent."""
    items: Askable
    """Sorted by class; `codes` count this pool's classes."""
    table: IntArray
    """(c, m) positions in `items`, each row filled up with its first."""
    sizes: IntArray
    """(c,) how many of a row count."""
    too_small: int
    """Classes that could not fill a support and leave a query of another group."""

    @classmethod
    def of(cls, name: str, items: Askable, n_shot: int) -> Pool:
        """The pool of items whose codes are any numbers, one a class."""
        able = [code for code in np.unique(items.codes) if _can_ask(items.units[items.codes == code], n_shot)]
        too_small = len(np.unique(items.codes)) - len(able)
        kept = items.where(np.isin(items.codes, able))
        codes = np.searchsorted(able, kept.codes)
        kept = Askable(kept.rows, codes, np.unique(kept.units, return_inverse=True)[1], kept.left_out)
        sizes = np.bincount(codes, minlength=len(able))
        starts = np.cumsum(sizes) - sizes
        columns = np.arange(sizes.max(initial=0))
        table = starts[:, None] + np.where(columns < sizes[:, None], columns, 0)
        return cls(name, kept, table, sizes, too_small)

    @property
    def n_classes(self) -> int:
        """How many there are to draw from."""
        return len(self.sizes)


def _can_ask(units: IntArray, n_shot: int) -> bool:
    """Whether a class has `n_shot` items beside its largest unit, which then holds a query."""
    return len(units) - int(np.unique(units, return_counts=True)[1].max()) >= n_shot


@dataclass(frozen=True)
class Drawn:
    """Episodes, as positions in a pool's items; an episode's classes are numbered as they stand."""

    support: IntArray
    """(e, n_way, n_shot)."""
    query: IntArray
    """(e, n_way, n_query)."""
    asked: NDArray[np.bool_]
    """(e, n_way, n_query) whether this query is there: a class may have fewer."""
    sharing: IntArray
    """(e, n_way, n_shot) how many of the episode's support images are of this one's group."""


def draw_episodes(
    pool: Pool, *, n_way: int, n_shot: int, n_query: int, episodes: int, rng: np.random.Generator
) -> Drawn:
    """Random classes in random order; in each episode the pool's groups are shuffled, support from the first on.

    Queries are taken from the last group on, and none of a group that the episode's support has. Where every group
    holds every class, as drawers do, one-shot support is by one drawer and the queries are by others (Lake et al.
    2015). Draws depend on classes and groups alone, never on embeddings.
    """
    sizes = [min(BLOCK, episodes - start) for start in range(0, episodes, BLOCK)]
    parts = [_draw_block(pool, n_way, n_shot, n_query, size, rng) for size in sizes]
    return Drawn(*(np.concatenate([getattr(part, name) for part in parts]) for name in Drawn.__annotations__))


def _draw_block(pool: Pool, n_way: int, n_shot: int, n_query: int, count: int, rng: np.random.Generator) -> Drawn:
    chosen = np.argsort(rng.random((count, pool.n_classes)), axis=1)[:, :n_way]
    table, sizes = pool.table[chosen], pool.sizes[chosen][:, :, None]  # (e, n_way, m), (e, n_way, 1)
    episode = np.arange(count)[:, None, None]
    keys = rng.random((count, pool.items.n_units))[episode, pool.items.units[table]]
    keys = keys + 1e-9 * rng.random(keys.shape)  # images of one group in random order
    keys[np.arange(table.shape[2]) >= sizes] = np.inf
    table = np.take_along_axis(table, np.argsort(keys, axis=2), axis=2)
    last = sizes - 1 - np.arange(n_query)
    support, query = table[:, :, :n_shot], np.take_along_axis(table, np.maximum(last, 0), axis=2)
    held = np.zeros((count, pool.items.n_units), dtype=np.int64)
    np.add.at(held, (episode, pool.items.units[support]), 1)
    asked = (last >= n_shot) & (held[episode, pool.items.units[query]] == 0)
    return Drawn(support, query, asked, held[episode, pool.items.units[support]])


def pools_of(items: Askable, labels: Sequence[str], parents: Sequence[str], n_shot: int) -> list[Pool]:
    """A pool a parent, sorted: (n,) labels and parents of the items."""
    codes = np.unique(np.array(labels, dtype=str), return_inverse=True)[1]
    order = np.argsort(codes, kind="stable")
    items, of_item = Askable(items.rows, codes, items.units, items.left_out).where(order), np.array(parents)[order]
    return [Pool.of(name, items.where(of_item == name), n_shot) for name in sorted(set(parents))]
