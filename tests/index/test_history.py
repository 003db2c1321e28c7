"""Claims about the history: a line a change, answers counted only when asked, drift beside alpha."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nearkin.errors import IndexCallError
from nearkin.index import Index, load
from nearkin.index import history as history_module
from nearkin.index.history import Event, from_lines, to_lines

Draw = Callable[..., Any]


def calls(index: Index) -> list[tuple[str, int]]:
    return [(event.call, event.n) for event in index.history]


@pytest.fixture
def on_day(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """`on_day("2026-11-30")`: from now on it is that day."""

    def set_day(day: str) -> None:
        class Clock(datetime):
            @classmethod
            def now(cls, tz: Any = None) -> Any:
                return datetime.fromisoformat(day).replace(hour=12, tzinfo=tz or UTC)

        monkeypatch.setattr(history_module, "datetime", Clock)

    return set_day


def test_every_change_leaves_a_line_and_a_refused_one_leaves_none(make: Callable[..., Index], draw: Draw) -> None:
    index = make({"a": 9})
    assert calls(index) == [("add", 10), ("add", 10), ("add", 10), ("calibrate", 9)]
    assert index.history[0].details == {"labels": {"a": 10}}
    assert index.history[3].details == {"labels": {"a": 9}, "alpha": 0.1}
    index.add(draw("a", 2, 40), ["a", "new"])
    index.remove(groups=["a patient 0", "b patient 1"])
    index.relabel("newer", labels="new")
    index.recalibrate()
    index.remember_trained(draw("c", 3, 41))
    assert calls(index)[4:] == [("add", 2), ("remove", 2), ("relabel", 1), ("recalibrate", 9), ("remember_trained", 3)]
    assert index.history[5].details == {"labels": {"a": 1, "b": 1}}
    assert index.history[6].details == {"labels": {"new": 1}, "to": "newer"}
    with pytest.raises(IndexCallError):
        index.remove(labels="nobody")
    index.query(draw("a", 3, 42))
    assert len(index.history) == 9


def test_a_merge_and_a_calibration_at_another_alpha_say_so(make: Callable[..., Index], draw: Draw) -> None:
    index = make({})
    index.merge(make({"a": 9}), renumber=True)
    assert calls(index)[-1] == ("merge", 30)
    assert index.history[-1].details == {
        "labels": {"a": 10, "b": 10, "c": 10},
        "renumbered": True,
        "calibration": 9,
        "copies": 30,
    }
    index.calibrate(draw("a", 30, 7), ["a"] * 30, alpha=0.2)
    assert index.history[-1].details["alpha"] == 0.2


def test_times_are_utc_to_the_second(make: Callable[..., Index]) -> None:
    when = datetime.fromisoformat(make().history[0].when)
    assert when.utcoffset() is not None
    assert abs((datetime.now(UTC) - when).total_seconds()) < 60


def test_the_history_is_saved_and_goes_on(make: Callable[..., Index], draw: Draw, tmp_path: Path) -> None:
    index = make()
    index.add(draw("a", 1, 1), ["two\u2028lines\n"])
    index.query(draw("a", 3, 4), record=True)
    index.save(tmp_path)
    again = load(tmp_path)
    assert again.history == index.history
    again.remove(ids=0)
    again.save(tmp_path)
    assert calls(load(tmp_path))[-1] == ("remove", 1)
    (lines,) = tmp_path.glob("history-*.jsonl")
    assert lines.read_bytes().count(b"\n") == len(again.history)


def test_queries_are_counted_only_when_asked_and_nothing_else_of_them_is_kept(
    make: Callable[..., Index], draw: Draw
) -> None:
    index = make()
    queries = np.concatenate([draw("a", 5, 60), np.full((2, 3), 90, np.float32)])
    answers = index.query(queries)
    assert index.drift() == []
    index.record(answers)
    index.record(answers[0])
    index.query(queries, record=True)
    assert calls(index)[-1] == ("record", 15)
    assert set(index.history[-1].details) == {"alpha", "known", "ambiguous", "unknown", "undecided"}
    (day,) = index.drift()
    assert (day.alpha, day.load.asked, day.load.unknown) == (0.1, 15, 4)
    assert day.load.flagged == 4 / 15
    assert index.query(queries) == answers


def test_drift_is_a_row_a_period_and_alpha(
    make: Callable[..., Index], draw: Draw, on_day: Callable[[str], None]
) -> None:
    index, far = make(), np.full((1, 3), 90, np.float32)
    for day, n_far in (("2026-11-29", 0), ("2026-11-30", 1), ("2026-12-01", 2)):
        on_day(day)
        index.query(np.concatenate([draw("a", 4, 60), *[far] * n_far]), record=True)
    index.query(far, alpha=0.05, record=True)
    index.query(far, record=True)
    assert calls(index)[-4:] == [("record", 4), ("record", 5), ("record", 7), ("record", 1)]
    assert [(d.period, d.alpha, d.load.asked, d.load.unknown) for d in index.drift("month")] == [
        ("2026-11", 0.1, 9, 1),
        ("2026-12", 0.1, 7, 3),
        ("2026-12", 0.05, 1, 1),
    ]
    assert [d.period for d in index.drift("day")] == ["2026-11-29", "2026-11-30", "2026-12-01", "2026-12-01"]
    assert [d.load.asked for d in index.drift("year")] == [16, 1]
    with pytest.raises(IndexCallError, match="one of day, month, year"):
        index.drift("week")


def test_a_change_parts_what_is_counted_before_it_from_what_comes_after(make: Callable[..., Index], draw: Draw) -> None:
    index = make()
    index.query(draw("a", 3, 1), record=True)
    index.remove(ids=0)
    index.query(draw("a", 2, 1), record=True)
    assert calls(index)[-3:] == [("record", 3), ("remove", 1), ("record", 2)]
    assert index.drift()[0].load.asked == 5


def test_an_answer_about_some_references_is_not_recorded(make: Callable[..., Index], draw: Draw) -> None:
    with pytest.raises(IndexCallError, match="says nothing about drift"):
        make().query(draw("a", 1, 1), where={"label": "a"}, record=True)


@pytest.mark.parametrize("answers", [3, "a", None, ["a"], [None]])
def test_what_is_no_answer_is_not_recorded(answers: Any, make: Callable[..., Index]) -> None:
    with pytest.raises(IndexCallError, match="takes answers that query gave"):
        make().record(answers)


def test_records_from_several_threads_are_all_counted(make: Callable[..., Index], draw: Draw) -> None:
    from concurrent.futures import ThreadPoolExecutor

    index, query = make(), draw("a", 1, 1)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: index.query(query, record=True), range(60)))
    assert calls(index)[-1] == ("record", 60)


@pytest.mark.parametrize(
    "line",
    [b"[]\n", b"7\n", b"{}\n", b'{"when":1,"call":"add","n":1}\n', b'{"when":"x","call":"add","n":true}\n',
     b'{"when":"x","call":"record","n":1,"alpha":"a"}\n', b"\xff\n"],
)  # fmt: skip
def test_lines_that_are_no_history_are_refused(line: bytes) -> None:
    with pytest.raises((ValueError, KeyError, TypeError, AttributeError)):
        from_lines(line)


def test_lines_come_back_as_they_were_written() -> None:
    events = (Event("2026-01-01T00:00:00+00:00", "add", 3, {"labels": {"ä\u2028\n": 3}}), Event("x", "remove", 0))
    assert from_lines(to_lines(events)) == events
    assert from_lines(b"") == ()
