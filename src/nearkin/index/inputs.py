"""What a caller hands the index: images or embeddings told apart, checked, every problem named at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from nearkin.contracts import Embed, Embedded, FloatArray, IntArray, Metric
from nearkin.errors import DataError, IndexCallError, listing
from nearkin.index.distances import CHUNK, row_chunks
from nearkin.index.items import is_embedding, items_of

LARGEST = 1e15
"""Beyond this, squares of differences leave float32, and FAISS hands out infinities."""
LARGEST_ID = 2**63 - 1
AT_A_TIME = 64
"""Images handed to the model at once, so that a large folder is never decoded whole."""
OnEmbed: TypeAlias = Callable[[int, int], None] | None
"""Told how many of how many images are embedded."""


@dataclass(frozen=True)
class Given:
    """What was handed in, as embeddings."""

    vectors: FloatArray
    """(n, d) float32, not yet checked."""
    digests: tuple[str, ...]
    """Empty texts where embeddings were given."""
    sources: tuple[str, ...]
    one: bool
    """Whether it was one image or one (d,) embedding, not a list."""
    space: FloatArray | None = None
    """(n, e) where each lies in the outlier score's space, where that was given; not yet checked."""

    def __len__(self) -> int:
        return len(self.vectors)


def read(given: Any, dim: int, embed: Embed | None, on_embed: OnEmbed = None) -> Given:
    """An `Embedded`, a float array or tensor of one or two dimensions is embeddings, as is a list of (d,) ones.

    All else is images.
    """
    if isinstance(given, Embedded):
        refuse(_shape_problem(f"Embedded.{name}", getattr(given, name)) for name in ("vectors", "space"))
        refuse(_length_problems(given))
        return _given(given, one=False)
    if is_embedding(given, dims=(1, 2)):
        array = _as_array(given)
        return _embeddings(np.atleast_2d(array), one=array.ndim == 1)
    items = items_of(given, dim)
    if not items:
        return _embeddings(np.zeros((0, dim), dtype=np.float32), one=False)
    are_embeddings = [is_embedding(item, dims=(1,)) for item in items]
    if all(are_embeddings):
        return _embeddings(_stack([_as_array(item) for item in items]), one=False)
    if any(are_embeddings):
        raise IndexCallError("a list of both images and embeddings: give one kind in a call.")
    return _embedded(items, embed, on_embed, one=not isinstance(given, (list, tuple)))


def _shape_problem(name: str, value: Any) -> str:
    """What is wrong with one row an image, or nothing; the numbers are looked at later."""
    fits = value is None or is_embedding(value, dims=(2,))
    return "" if fits else f"{name}: it is a float array of two dimensions, one row an image."


def _length_problems(given: Embedded) -> list[str]:
    """What of it does not go with its rows; what was left out does."""
    parts: dict[str, Any] = {name: getattr(given, name) for name in ("digests", "sources", "space")}
    parts |= {f"folds[{place}]": fold for place, fold in enumerate(given.folds)}
    told = {name: len(part) for name, part in parts.items() if part is not None}
    n = len(given)
    return [
        f"Embedded.{name}: {found} given for {n} rows of vectors; one each."
        for name, found in told.items()
        if found != n and (found or name not in ("digests", "sources"))
    ]


def _as_array(value: Any) -> np.ndarray[Any, Any]:
    if not hasattr(value, "detach"):
        return np.asarray(value)
    # numpy has no bfloat16; all that the index stores is float32 anyway.
    return np.asarray(value.detach().cpu().float() if value.is_floating_point() else value.detach().cpu())


def _stack(rows: Sequence[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    sizes = sorted({len(row) for row in rows})
    if len(sizes) > 1:
        raise IndexCallError(
            f"embeddings of different lengths in one list: {listing(map(str, sizes))}. Give one length."
        )
    return np.stack(rows)


def _embeddings(array: np.ndarray[Any, Any], *, one: bool) -> Given:
    return _given(Embedded(array), one=one)


def _given(made: Embedded, *, one: bool) -> Given:
    """What is not said of embeddings filled in."""
    with np.errstate(over="ignore"):  # an infinity is refused by name later
        vectors, space = (
            None if part is None else np.ascontiguousarray(_as_array(part), dtype=np.float32)
            for part in (made.vectors, made.space)
        )
    assert vectors is not None, "embeddings are always there"
    n = len(vectors)
    return Given(vectors, _each(made.digests, n, ""), _each(made.sources, n, "embedding"), one, space)


def _each(said: Any, n: int, otherwise: str) -> tuple[str, ...]:
    """One text a row; an array's length is asked for, as its truth is not one thing."""
    return (otherwise,) * n if said is None or not len(said) else tuple(said)


def _embedded(items: list[Any], embed: Embed | None, on_embed: OnEmbed, *, one: bool) -> Given:
    numbers = [item for item in items if isinstance(item, (bool, int, float, complex, list))]
    if numbers:
        raise IndexCallError("numbers in a list are no embedding: write numpy.asarray(..., dtype=numpy.float32).")
    if embed is None:
        raise IndexCallError(
            "this index has no model, so it cannot take images. Give float embeddings, or open it with its model."
        )
    parts, bad = [], []
    for start in range(0, len(items), AT_A_TIME):
        some = items[start : start + AT_A_TIME]
        try:
            parts.append(_made(embed, some))
        except DataError as error:
            bad.append(str(error))
        if on_embed:
            on_embed(start + len(some), len(items))
    if bad:
        raise DataError("\n".join(bad if one else ["images that cannot be used:", *bad]))
    vectors = np.concatenate([np.asarray(made.vectors, dtype=np.float32) for made in parts])
    digests, sources = ([text for made in parts for text in getattr(made, name)] for name in ("digests", "sources"))
    spaces = [np.asarray(made.space, dtype=np.float32) for made in parts if made.space is not None]
    space = np.ascontiguousarray(np.concatenate(spaces)) if len(spaces) == len(parts) else None
    return Given(np.ascontiguousarray(vectors), tuple(digests), tuple(sources), one, space)


def _made(embed: Embed, images: list[Any]) -> Embedded:
    made = embed(images)
    if not len(made.vectors) == len(made.digests) == len(made.sources) == len(images):
        raise IndexCallError(f"embed was given {len(images)} images and gave back {len(made.vectors)} embeddings.")
    return made


# -------------------------------------------------------------------------------------------------- checks


def refuse(problems: Iterable[str]) -> None:
    """Raise all problems at once; nothing where there are none."""
    found = [problem for problem in problems if problem]
    if found:
        raise IndexCallError("\n".join(found))


def vector_problems(vectors: FloatArray, dim: int, metric: Metric) -> list[str]:
    """What is wrong with (n, d) embeddings, rows named."""
    if vectors.ndim != 2 or vectors.shape[1] != dim:
        return [f"embeddings of {vectors.shape[-1]} dimensions; this index holds {dim}."]
    largest = _largest(vectors)
    if not len(largest) or (largest.max() <= LARGEST and (metric != "cosine" or largest.min() > 0)):
        return []
    finite = np.isfinite(largest)
    wrong = (
        (~finite, "NaN or infinite numbers. Look at the images, or at the model's training."),
        (finite & (largest > LARGEST), f"numbers beyond {LARGEST:g}. Scale the embeddings down."),
        (
            (largest == 0) & (metric == "cosine"),
            "nothing but zeros, which has no direction to compare by cosine.",
        ),
    )
    return [f"{_rows(rows)} {what}" for rows, what in wrong if rows.any()]


def _largest(vectors: FloatArray) -> FloatArray:
    """(n, d) -> (n,) the largest size of each row, NaN where it holds one. In pieces: there may be millions."""
    largest = np.empty(len(vectors), dtype=np.float32)
    for rows in row_chunks(len(vectors), vectors.shape[1], CHUNK):
        np.abs(vectors[rows]).max(axis=1, out=largest[rows])
    return largest


def _rows(which: Any) -> str:
    rows = [str(row) for row in np.flatnonzero(which)]
    return f"row{'s' if len(rows) > 1 else ''} {listing(rows)} of the embeddings hold{'' if len(rows) > 1 else 's'}"


def texts(values: Any, n: int, *, default: Sequence[str] | None = None) -> Any:
    """One text a row: a single text stands for a single row; `None` for the default."""
    if values is None and default is not None:
        return default
    if isinstance(values, str):
        return [values] if n == 1 else values
    return list(values) if isinstance(values, Iterable) else values


def named_texts(given: Given, labels: Any, groups: Any, sources: Any, digests: Any) -> dict[str, Any]:
    """The texts that go with the rows; what the caller did not say is filled in. Not yet checked."""
    n = len(given)
    if digests is not None and any(given.digests):
        raise IndexCallError("digests: images bring their own. Leave them out.")
    return {
        "labels": texts(labels, n),
        "groups": texts(groups, n, default=("",) * n),
        "sources": texts(sources, n, default=given.sources),
        "digests": texts(digests, n, default=given.digests),
    }


def text_problems(name: str, values: Any, n: int) -> list[str]:
    """What is wrong with `n` texts."""
    if isinstance(values, str) or not hasattr(values, "__len__"):
        return [f"{name}: {values!r} is not a list of {n} texts."]
    wrong = [f"{value!r} at {place}" for place, value in enumerate(values) if not isinstance(value, str)]
    # A file's name goes out as it came in: its bytes are the system's.
    told = () if name == "sources" else values
    unwritable = [f"{value!r} at {place}" for place, value in enumerate(told) if not _writable(value)]
    problems = [f"{name}: {len(values)} given for {n} items."] if len(values) != n else []
    if unwritable:
        problems.append(f"{name}: not UTF-8, so no file can hold it: {listing(unwritable)}. Write it in UTF-8.")
    return problems + ([f"{name} are text as written, but there is {listing(wrong)}. Use str()."] if wrong else [])


def _writable(value: Any) -> bool:
    """Whether it is no text that UTF-8 cannot write: a shell's other bytes come in as halves of characters."""
    if not isinstance(value, str) or value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def label_problems(name: str, labels: Any) -> list[str]:
    """What is wrong with texts as names of classes."""
    if not isinstance(labels, Iterable):
        return []  # which `text_problems` says
    blank = [str(place) for place, label in enumerate(labels) if isinstance(label, str) and not label.strip()]
    return [f"{name}: a class has a name, and there is none at {listing(blank)}."] if blank else []


def flags(name: str, said: Any, n: int) -> list[bool]:
    """One for all, or a list of them -> n of them; `IndexCallError` for anything else."""
    several = list(said) if isinstance(said, Iterable) and not isinstance(said, str) else [said] * n
    wrong = [repr(one) for one in several if not isinstance(one, (bool, np.bool_))]
    refuse([f"{name}: is True or False, or a list of them, but there is {listing(wrong)}."] if wrong else [])
    refuse([f"{name}: {len(several)} given for {n} items."] if len(several) != n else [])
    return [bool(one) for one in several]


def id_problems(ids: Sequence[Any], n: int, taken: IntArray) -> list[str]:
    """What is wrong with `n` new ids beside those (m,) already there."""
    wrong = [repr(i) for i in ids if not is_whole(i)]
    if wrong:
        return [f"ids are whole numbers, but there is {listing(wrong)}."]
    found = {
        "below 0 or above 2^63 - 1": [i for i in ids if not 0 <= i <= LARGEST_ID],
        "given twice": [i for i, count in Counter(ids).items() if count > 1],
        "in the index already; remove them first, or leave ids out": _taken(ids, taken),
    }
    problems = [f"ids: {listing(map(str, which))} {_is(which)} {what}." for what, which in found.items() if which]
    return problems + ([f"ids: {len(ids)} given for {n} items."] if len(ids) != n else [])


def _taken(ids: Sequence[Any], taken: IntArray) -> list[Any]:
    """Those of the ids that are taken."""
    possible = [i for i in ids if 0 <= i <= LARGEST_ID]
    return [i for i, there in zip(possible, np.isin(np.array(possible, dtype=np.int64), taken), strict=True) if there]


def _is(values: Sequence[Any]) -> str:
    return "is" if len(values) == 1 else "are"


def is_whole(value: Any) -> bool:
    """Whether it is a whole number of Python or numpy; True and False are none, though Python counts with them."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def count_problem(name: str, value: Any) -> str:
    """What is wrong with a count, or nothing."""
    return "" if is_whole(value) and value >= 1 else f"{name} {value!r}: it is a whole number from 1."
