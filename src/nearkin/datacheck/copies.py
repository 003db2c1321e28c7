"""Findings about copies: pairs of images that are one image, or look like one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from types import MappingProxyType

from nearkin.contracts import Split
from nearkin.data.near_copies import Pair
from nearkin.datacheck.findings import Finding, Level
from nearkin.errors import listing

PARTED = "Give each pair one group (data.group, or a column), so that no draw parts it, or take one out."
LABELLED = "One label of each is wrong, or the image shows both: look at them."
TOGETHER = "Give each pair one group, so that no draw can part it."
LEFT_OUT = "data.drop_leaks leaves out the test image of each."


def copy_findings(
    pairs: Sequence[Pair], drawn: Mapping[str, Split] = MappingProxyType({}), dropped: Set[str] = frozenset()
) -> list[Finding]:
    """Pairs across splits, marked or drawn, and across classes are problems, others are notes.

    `drawn` has the split that a recipe draws each key into, `dropped` the keys that its `drop_leaks` leaves out.
    """
    exact = [pair for pair in pairs if pair.exact]
    near = [pair for pair in pairs if not pair.exact]
    return [
        *_of_kind("copies", "are the same, pixel for pixel", exact, drawn, dropped),
        *_of_kind("near_copies", "look the same", near, drawn, dropped),
    ]


def _of_kind(
    name: str, words: str, pairs: Sequence[Pair], drawn: Mapping[str, Split], dropped: Set[str]
) -> list[Finding]:
    marked = [pair for pair in pairs if _marked_apart(pair)]
    splits = [pair for pair in marked if dropped.isdisjoint(pair.keys)]
    out = [pair for pair in marked if not (dropped.isdisjoint(pair.keys) or _labelled_apart(pair))]
    beside = [pair for pair in pairs if not _marked_apart(pair)]
    parted = [pair for pair in beside if _drawn_apart(pair, drawn)]
    rest = [pair for pair in beside if not (_drawn_apart(pair, drawn) or _labelled_apart(pair))]
    labels = [pair for pair in pairs if _labelled_apart(pair)]
    leak = any("test" in (pair.a.item.side, pair.b.item.side) for pair in splits)
    ask = "Test figures count what was trained on: set data.drop_leaks, or give" if leak else "Give"
    rows: list[tuple[Level, str, Sequence[Pair], str, str]] = [
        ("problem", "_across_splits", splits, "stand in two splits and", f"{ask} both one group and one split."),
        ("problem", "_across_drawn_splits", parted, "are drawn into two splits and", PARTED),
        ("problem", "_across_classes", labels, "carry two labels and", LABELLED),
        ("note", "", rest, "of one class, not marked apart,", TOGETHER),
        ("note", "_left_out", out, "stand in two splits and", LEFT_OUT),
    ]
    return [_finding(level, name + end, some, f"{told} {words}", mend) for level, end, some, told, mend in rows if some]


def _marked_apart(pair: Pair) -> bool:
    """By the source itself."""
    return pair.a.item.side != pair.b.item.side


def _drawn_apart(pair: Pair, drawn: Mapping[str, Split]) -> bool:
    """By the recipe's draw."""
    return len({drawn[key] for key in pair.keys if key in drawn}) > 1


def _labelled_apart(pair: Pair) -> bool:
    return pair.a.item.label != pair.b.item.label


def _finding(level: Level, what: str, pairs: Sequence[Pair], words: str, mend: str) -> Finding:
    said = listing([" = ".join(pair.keys) for pair in pairs], most=5)
    message = f"{len(pairs)} pairs of images {words}: {said}. {mend}"
    figures = {"likeness": [round(pair.likeness, 4) for pair in pairs]}
    return Finding(level, what, message, tuple(pair.keys for pair in pairs), figures=figures)
