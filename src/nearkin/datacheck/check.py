"""The whole check of a source: every finding, in one report."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from nearkin.contracts import Split
from nearkin.data import BadImage, Item, Source, draw, open_source
from nearkin.data.looks import Look, look_at
from nearkin.data.near_copies import ALIKE, Pair, find_pairs, leaks
from nearkin.datacheck.copies import copy_findings
from nearkin.datacheck.findings import Finding
from nearkin.datacheck.giveaways import giveaway_findings
from nearkin.datacheck.look_alikes import Embed, look_alike_findings
from nearkin.errors import DataError, listing
from nearkin.joining import joining
from nearkin.recipe.data_options import DataOptions


@dataclass(frozen=True, eq=False)
class Report:
    """Counts, and every finding, problems first."""

    counts: dict[str, dict[str, int]]
    """Images by label, then by the source's split."""
    sizes: dict[str, int]
    """Images by size, channels and bits, as they are on disk."""
    findings: tuple[Finding, ...]
    leaks: tuple[str, ...]
    """Test images that another split holds a copy of, or one that looks the same: what `data.drop_leaks` drops."""
    looks: tuple[Look, ...]

    @property
    def problems(self) -> tuple[Finding, ...]:
        """Those that make figures or labels wrong."""
        return tuple(finding for finding in self.findings if finding.level == "problem")

    def as_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "counts": self.counts,
            "sizes": self.sizes,
            "leaks": list(self.leaks),
            "findings": [asdict(finding) for finding in self.findings],
        }


def check_source(
    options: DataOptions,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
    *,
    likeness: float = ALIKE,
    embed: Embed | None = None,
) -> Report:
    """Check what a recipe's `data` section names: its source's images, and whether its splits can be drawn."""
    source = open_source(options)
    looks, bad = look_at(source, source.items, progress)
    found = _Found(source, source.items, looks, bad, find_pairs(looks, likeness))
    try:
        dataset = draw(source, options, seed, looks)
    except DataError as error:
        return _with(_report(found, embed), [Finding("problem", "splits_cannot_be_drawn", str(error))])
    drawn = {item.key: split for split, items in dataset.items.items() for item in items}
    return _report(replace(found, drawn=drawn, dropped=frozenset(dataset.dropped)), embed)


def check_items(
    source: Source,
    items: Sequence[Item],
    progress: Callable[[int, int], None] | None = None,
    *,
    likeness: float = ALIKE,
    embed: Embed | None = None,
) -> Report:
    """Check a source's images themselves; nothing is drawn, nothing is trained but small linear classifiers.

    With `embed`, a note names the pairs that look alike to a network as well.
    """
    looks, bad = look_at(source, items, progress)
    return _report(_Found(source, items, looks, bad, find_pairs(looks, likeness)), embed)


@dataclass(frozen=True, eq=False)
class _Found:
    """What the findings are made of."""

    source: Source
    items: Sequence[Item]
    looks: Sequence[Look]
    bad: Sequence[BadImage]
    pairs: Sequence[Pair]
    drawn: Mapping[str, Split] = field(default_factory=dict)
    """Key -> the split that the recipe draws it into."""
    dropped: frozenset[str] = frozenset()
    """Keys that `data.drop_leaks` leaves out."""


def _report(of: _Found, embed: Embed | None) -> Report:
    apart = _copies_together(of.looks, of.pairs)
    findings = [*_unreadable(of.bad, len(of.items)), *_parted(of.items)]
    findings += [*copy_findings(of.pairs, of.drawn, of.dropped), *giveaway_findings(apart)]
    if embed and of.looks:
        findings += look_alike_findings(of.looks, embed(of.source, [look.item for look in of.looks]), of.pairs)
    counts: dict[str, dict[str, int]] = defaultdict(dict)
    for (label, split), n in sorted(Counter((item.label, item.split or "unmarked") for item in of.items).items()):
        counts[label][split] = n
    sizes = Counter(f"{x.width}x{x.height}, {x.channels} channels, {x.bits} bits" for x in of.looks)
    report = Report(dict(counts), dict(sizes.most_common()), (), leaks(of.pairs), tuple(of.looks))
    return _with(report, findings)


def _with(report: Report, findings: Sequence[Finding]) -> Report:
    together = sorted([*report.findings, *findings], key=lambda finding: finding.level != "problem")
    return replace(report, findings=tuple(together))


def _unreadable(bad: Sequence[BadImage], total: int) -> list[Finding]:
    if not bad:
        return []
    message = f"{len(bad)} of {total} files cannot be used: {listing(map(str, bad))}"
    return [Finding("problem", "unreadable_files", message, keys=tuple(image.source for image in bad))]


def _parted(items: Sequence[Item]) -> list[Finding]:
    """Groups (patients) on both sides of the source's own split."""
    sides: dict[str, set[str]] = defaultdict(set)
    for item in items:
        if item.group != item.key:
            sides[item.group].add(item.side)
    parted = sorted(group for group, splits in sides.items() if len(splits) > 1)
    if not parted:
        return []
    message = (
        f"{len(parted)} groups (patients) stand in more than one split: {listing(parted)}. "
        "Give every image of a group the same split."
    )
    keys = tuple(item.key for item in items if item.group in set(parted))
    return [Finding("problem", "groups_in_two_splits", message, keys=keys)]


def _copies_together(looks: Sequence[Look], pairs: Sequence[Pair]) -> list[Look]:
    """Copies in one group: on two sides of a classifier's folds, one would answer for the other."""
    called = joining([pair.a.item.group, pair.b.item.group] for pair in pairs)
    return [replace(look, item=replace(look.item, group=called(look.item.group))) for look in looks]
