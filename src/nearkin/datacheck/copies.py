"""Findings about copies: pairs of images that are one image, or look like one."""

from __future__ import annotations

from collections.abc import Sequence

from nearkin.data.near_copies import Pair
from nearkin.datacheck.findings import Finding, Level
from nearkin.errors import listing


def copy_findings(pairs: Sequence[Pair]) -> list[Finding]:
    """Pairs across splits and across classes are problems, others are notes."""
    found = []
    for exact, name in ((True, "copies"), (False, "near_copies")):
        words = "are the same, pixel for pixel" if exact else "look the same"
        chosen = [pair for pair in pairs if pair.exact == exact]
        splits = [pair for pair in chosen if pair.a.item.side != pair.b.item.side]
        labels = [pair for pair in chosen if pair.a.item.label != pair.b.item.label]
        rest = [pair for pair in chosen if pair not in splits and pair not in labels]
        if splits:
            mend = "Test figures count what was trained on: set data.drop_leaks, or give both one group and one split."
            found.append(_finding("problem", f"{name}_across_splits", splits, f"stand in two splits and {words}", mend))
        if labels:
            mend = "One label of each is wrong, or the image shows both: look at them."
            found.append(_finding("problem", f"{name}_across_classes", labels, f"carry two labels and {words}", mend))
        if rest:
            mend = "Give each pair one group, so that no draw can part it."
            found.append(_finding("note", name, rest, f"of one class and split {words}", mend))
    return found


def _finding(level: Level, what: str, pairs: Sequence[Pair], words: str, mend: str) -> Finding:
    said = listing([" = ".join(pair.keys) for pair in pairs], most=5)
    message = f"{len(pairs)} pairs of images {words}: {said}. {mend}"
    figures = {"likeness": [round(pair.likeness, 4) for pair in pairs]}
    return Finding(level, what, message, tuple(pair.keys for pair in pairs), figures=figures)
