"""Columns of text, held compactly: a million of them cost their letters, not a million Python objects."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from typing import SupportsIndex, overload

import numpy as np
from numpy.typing import NDArray

from nearkin.contracts import IntArray

LONE = "surrogatepass"
"""File names that are no UTF-8 come in with halves of characters, and must go out as they came."""


class Packed(Sequence[str]):
    """n texts side by side as UTF-8. Read-only; equal to any sequence of the same texts."""

    def __init__(self, offsets: IntArray, data: NDArray[np.uint8]) -> None:
        self.offsets = offsets
        """(n + 1,) where each begins, and where the last one ends."""
        self.data = data

    @classmethod
    def of(cls, texts: Iterable[str]) -> Packed:
        """These."""
        parts = [str(text).encode("utf-8", LONE) for text in texts]
        lengths = np.fromiter(map(len, parts), dtype=np.int64, count=len(parts))
        return cls(_offsets(lengths), np.frombuffer(b"".join(parts), dtype=np.uint8))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @overload
    def __getitem__(self, index: SupportsIndex) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[str, ...]: ...
    def __getitem__(self, index: SupportsIndex | slice) -> str | tuple[str, ...]:
        if isinstance(index, slice):
            return tuple(self.take(np.arange(len(self))[index]))
        at = range(len(self))[index]
        return self.data[self.offsets[at] : self.offsets[at + 1]].tobytes().decode("utf-8", LONE)

    def __iter__(self) -> Iterator[str]:
        whole, ends = self.data.tobytes(), self.offsets.tolist()
        return (whole[start:end].decode("utf-8", LONE) for start, end in pairwise(ends))

    def __eq__(self, other: object) -> bool:
        return _equal(self, other)

    __hash__ = None  # type: ignore[assignment]  # as of any sequence that is compared by content

    def __repr__(self) -> str:
        return _shown(self)

    @property
    def empty(self) -> NDArray[np.bool_]:
        """(n,) which are the empty text."""
        return np.asarray(np.diff(self.offsets) == 0)

    def at(self, positions: NDArray[np.integer]) -> list[str]:
        """The texts at (m,) positions."""
        data = self.data.data
        begins, ends = self.offsets[positions].tolist(), self.offsets[positions + 1].tolist()
        return [str(data[begin:end], "utf-8", LONE) for begin, end in zip(begins, ends, strict=True)]

    def distinct(self) -> set[str]:
        """The different ones."""
        return set(self)

    def among(self, names: Collection[str]) -> NDArray[np.bool_]:
        """(n,) which are one of these."""
        wanted = set(names)
        return np.fromiter((text in wanted for text in self), dtype=bool, count=len(self))

    def take(self, positions: NDArray[np.integer]) -> Packed:
        """Those at (m,) positions."""
        lengths = np.diff(self.offsets)[positions]
        offsets = _offsets(lengths)
        # Each byte's place: where its text begins, plus how far into it the byte is.
        places = np.repeat(self.offsets[positions] - offsets[:-1], lengths) + np.arange(offsets[-1])
        return Packed(offsets, self.data[places])

    def joined(self, texts: Sequence[str]) -> Packed:
        """These, then those."""
        more = Packed.of(texts)
        return Packed(
            np.concatenate([self.offsets, self.offsets[-1] + more.offsets[1:]]), np.concatenate([self.data, more.data])
        )


class Coded(Sequence[str]):
    """n texts of which many are equal: each a code into the different ones. Read-only; equal as `Packed` is."""

    def __init__(self, codes: NDArray[np.int32], words: Packed) -> None:
        self.codes = codes
        """(n,) each text's place in `words`."""
        self.packed = words
        """The different ones, sorted, each used."""

    @classmethod
    def of(cls, texts: Iterable[str]) -> Coded:
        """These."""
        given = [str(text) for text in texts]
        words = sorted(set(given))
        code_of = {word: code for code, word in enumerate(words)}
        return cls(np.fromiter((code_of[text] for text in given), np.int32, count=len(given)), Packed.of(words))

    @cached_property
    def words(self) -> tuple[str, ...]:
        """The different ones, sorted."""
        return tuple(self.packed)

    def __len__(self) -> int:
        return len(self.codes)

    @overload
    def __getitem__(self, index: SupportsIndex) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[str, ...]: ...
    def __getitem__(self, index: SupportsIndex | slice) -> str | tuple[str, ...]:
        if isinstance(index, slice):
            return tuple(self.packed[code] for code in self.codes[index].tolist())
        return self.packed[int(self.codes[index])]

    def __iter__(self) -> Iterator[str]:
        words = self.words
        return (words[code] for code in self.codes.tolist())

    def __eq__(self, other: object) -> bool:
        return _equal(self, other)

    __hash__ = None  # type: ignore[assignment]  # as of any sequence that is compared by content

    def __repr__(self) -> str:
        return _shown(self)

    def at(self, positions: NDArray[np.integer]) -> list[str]:
        """The texts at (m,) positions."""
        codes = self.codes[positions]
        words = vars(self).get("words")  # where they are made already
        return [words[code] for code in codes.tolist()] if words else self.packed.at(codes)

    def distinct(self) -> set[str]:
        """The different ones."""
        return set(self.words)

    def among(self, names: Collection[str]) -> NDArray[np.bool_]:
        """(n,) which are one of these."""
        wanted = set(names)
        return np.asarray(np.array([word in wanted for word in self.words], dtype=bool)[self.codes])

    def take(self, positions: IntArray) -> Coded:
        """Those at (m,) positions."""
        used, codes = np.unique(self.codes[positions], return_inverse=True)
        words = self.packed if len(used) == len(self.packed) else self.packed.take(used)
        return Coded(codes.astype(np.int32), words)

    def with_text(self, positions: IntArray, text: str) -> Coded:
        """These, but for that text at (m,) positions."""
        both = self.joined([text])
        codes = both.codes[:-1].copy()
        codes[positions] = both.codes[-1]
        return Coded(codes, both.packed).take(np.arange(len(self)))

    def joined(self, texts: Sequence[str]) -> Coded:
        """These, then those."""
        words = sorted({*self.words, *texts})
        code_of = {word: code for code, word in enumerate(words)}
        renamed = np.fromiter((code_of[word] for word in self.words), np.int32, count=len(self.words))
        more = np.fromiter((code_of[text] for text in texts), np.int32, count=len(texts))
        return Coded(np.concatenate([renamed[self.codes], more]), Packed.of(words))


def _offsets(lengths: IntArray) -> IntArray:
    return np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths, dtype=np.int64)])


def _equal(texts: Sequence[str], other: object) -> bool:
    if not isinstance(other, Sequence) or isinstance(other, str):
        return False
    return len(texts) == len(other) and all(one == two for one, two in zip(texts, other, strict=True))


def _shown(texts: Sequence[str]) -> str:
    start = ", ".join(map(repr, texts[:5]))
    return f"{type(texts).__name__}({start}{', ...' if len(texts) > 5 else ''}; {len(texts)})"
