"""Findings about copies: pairs of images that are one image, or look like one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from types import MappingProxyType

from nearkin.contracts import Split
from nearkin.data.near_copies import Pair
from nearkin.datacheck.findings import Finding, Level
from nearkin.errors import listing


def copy_findings(
    pairs: Sequence[Pair], drawn: Mapping[str, Split] = MappingProxyType({}), dropped: Set[str] = frozenset()
) -> list[Finding]:
    """Pairs across splits, marked or drawn, and across classes are problems, others are notes.

    `drawn` has the split that a recipe draws each key into, `dropped` the keys that its `drop_leaks` leaves out.
    """
    found = []
    for exact, name in ((True, "copies"), (False, "near_copies")):
        words = "are the same, pixel for pixel" if exact else "look the same"
        chosen = [pair for pair in pairs if pair.exact == exact]
        splits = [pair for pair in chosen if _marked_apart(pair) and dropped.isdisjoint(pair.keys)]
        parted = [pair for pair in chosen if _drawn_apart(pair, drawn)]
        labels = [pair for pair in chosen if _labelled_apart(pair)]
        rest = [
            pair for pair in chosen if not (_marked_apart(pair) or _drawn_apart(pair, drawn) or _labelled_apart(pair))
        ]
        out = [
            pair
            for pair in chosen
            if _marked_apart(pair) and not dropped.isdisjoint(pair.keys) and not _labelled_apart(pair)
        ]
        if splits:
            leak = any("test" in (pair.a.item.side, pair.b.item.side) for pair in splits)
            mend = "Test figures count what was trained on: set data.drop_leaks, or give" if leak else "Give"
            told = f"stand in two splits and {words}"
            found.append(
                _finding("problem", f"{name}_across_splits", splits, told, f"{mend} both one group and one split.")
            )
        if parted:
            mend = "Give each pair one group (data.group, or a column), so that no draw parts it, or take one out."
            told = f"are drawn into two splits and {words}"
            found.append(_finding("problem", f"{name}_across_drawn_splits", parted, told, mend))
        if labels:
            mend = "One label of each is wrong, or the image shows both: look at them."
            found.append(_finding("problem", f"{name}_across_classes", labels, f"carry two labels and {words}", mend))
        if rest:
            mend = "Give each pair one group, so that no draw can part it."
            found.append(_finding("note", name, rest, f"of one class, not marked apart, {words}", mend))
        if out:
            mend = "data.drop_leaks leaves out the test image of each."
            found.append(_finding("note", f"{name}_left_out", out, f"stand in two splits and {words}", mend))
    return found


def _marked_apart(pair: Pair) -> bool:
    """By the source itself."""
    return pair.a.item.side != pair.b.item.side


def _drawn_apart(pair: Pair, drawn: Mapping[str, Split]) -> bool:
    """By the recipe's draw alone."""
    return not _marked_apart(pair) and len({drawn[key] for key in pair.keys if key in drawn}) > 1


def _labelled_apart(pair: Pair) -> bool:
    return pair.a.item.label != pair.b.item.label


def _finding(level: Level, what: str, pairs: Sequence[Pair], words: str, mend: str) -> Finding:
    said = listing([" = ".join(pair.keys) for pair in pairs], most=5)
    message = f"{len(pairs)} pairs of images {words}: {said}. {mend}"
    figures = {"likeness": [round(pair.likeness, 4) for pair in pairs]}
    return Finding(level, what, message, tuple(pair.keys for pair in pairs), figures=figures)
