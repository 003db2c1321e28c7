"""The history of an index: a line for every change, and counts of the answers that its user chose to record."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from nearkin.contracts import Answer
from nearkin.errors import IndexCallError, listing
from nearkin.index.review_load import ReviewLoad

RECORD = "record"


@dataclass(frozen=True)
class Event:
    """What happened once."""

    when: str
    """UTC, to the second, as ISO 8601 writes it."""
    call: str
    """The method of `Index` that did it."""
    n: int
    """How many items it was about."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """What else is worth knowing: labels, alpha, counts. Plain JSON."""

    @classmethod
    def now(cls, call: str, n: int, **details: Any) -> Event:
        """Just now."""
        return cls(datetime.now(UTC).isoformat(timespec="seconds"), call, n, details)


@dataclass(frozen=True)
class Drift:
    """What became of the answers recorded in one period, beside what was promised."""

    period: str
    """A day, month or year: `2026-11-30`, `2026-11`, `2026`."""
    alpha: float
    """Of known images at most this share is flagged unknown. A stream that holds unknown ones lies above it."""
    load: ReviewLoad
    """`load.flagged` is the share to hold against alpha."""


PERIODS = {"day": 10, "month": 7, "year": 4}
"""How much of a time tells the period."""


def recorded(events: tuple[Event, ...], answers: Iterable[Answer]) -> tuple[Event, ...]:
    """The events with these answers counted: one line a day and alpha while nothing else happens. Counts alone."""
    by_alpha: dict[float, list[Answer]] = {}
    for answer in answers:
        if not isinstance(answer, Answer):
            raise IndexCallError(f"record: takes answers that query gave, not {type(answer).__name__}.")
        if answer.promise.left_out:
            raise IndexCallError("record: an answer about some references alone says nothing about drift.")
        by_alpha.setdefault(answer.promise.alpha, []).append(answer)
    for alpha, own in by_alpha.items():
        events = _counted(events, alpha, ReviewLoad.of(own))
    return events


def _counted(events: tuple[Event, ...], alpha: float, load: ReviewLoad) -> tuple[Event, ...]:
    new = Event.now(RECORD, load.asked, alpha=alpha, **load.counts)
    for place in range(len(events) - 1, -1, -1):
        old = events[place]
        if old.call != RECORD or old.when[:10] != new.when[:10]:
            break
        if old.details["alpha"] == alpha:
            total = _load(old) + load
            line = replace(old, n=total.asked, details={"alpha": alpha, **total.counts})
            return (*events[:place], line, *events[place + 1 :])
    return (*events, new)


def _load(event: Event) -> ReviewLoad:
    return ReviewLoad(**{name: event.details[name] for name in ReviewLoad.NAMES})


def drift(events: Iterable[Event], by: str) -> list[Drift]:
    """One row a period and alpha, oldest first."""
    if by not in PERIODS:
        raise IndexCallError(f"by {by!r}: it is one of {', '.join(PERIODS)}.")
    loads: dict[tuple[str, float], ReviewLoad] = {}
    for event in events:
        if event.call == RECORD:
            key = (event.when[: PERIODS[by]], float(event.details["alpha"]))
            loads[key] = loads.get(key, ReviewLoad.none()) + _load(event)
    return [Drift(period, alpha, load) for (period, alpha), load in loads.items()]


def to_lines(events: Iterable[Event]) -> bytes:
    """JSON lines, one an event."""
    return "".join(
        json.dumps({"when": e.when, "call": e.call, "n": e.n, **e.details}, ensure_ascii=False, allow_nan=False) + "\n"
        for e in events
    ).encode()


def from_lines(data: bytes) -> tuple[Event, ...]:
    """What `to_lines` wrote; `ValueError`, `KeyError` or `TypeError` for anything else."""
    return tuple(_event(json.loads(line)) for line in data.decode().split("\n") if line)


def _event(said: dict[str, Any]) -> Event:
    details = {key: value for key, value in said.items() if key not in ("when", "call", "n")}
    event = Event(said["when"], said["call"], said["n"], details)
    wanted = {"when": str, "call": str, "n": int}
    if event.call == RECORD:
        wanted |= {"alpha": float, **dict.fromkeys(ReviewLoad.NAMES, int)}
    wrong = [name for name, kind in wanted.items() if type(said[name]) is not kind]
    if wrong:
        raise ValueError(f"a line of the history has a wrong {listing(wrong)}.")
    return event
