"""The index commands that embed nothing: info, remove, relabel, merge, verify, export. None imports torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nearkin.cli import show
from nearkin.contracts import Way
from nearkin.errors import DamagedError, UsageError, listing
from nearkin.index import Index, edit, load
from nearkin.index.alphas import AlphaRow, FalseFlags
from nearkin.index.opening import saved_parts
from nearkin.index.review_load import ReviewLoad
from nearkin.plugins import load_registries
from nearkin.run import index_folder

SHOWN = 5
"""Lines of the history that people see; `--json` has all."""


def info(path: Path, *, alphas: bool, plugins: Sequence[Path], as_json: bool) -> None:
    """`nearkin index info`."""
    with show.busy(f"reading {path}"):
        index = opened(index_folder(path), plugins)
        table = index.alpha_table() if alphas else []
    if as_json:
        show.print_json({**about(index), **({"alphas": [asdict(row) for row in table]} if alphas else {})})
        return
    said = about(index)
    facts = {**said, "score": index.settings.said_score}
    for name in ("metric", "class_rule", "dim", "score", "alpha", "engine", "model", "references"):
        print(f"{name}: {facts[name]}")
    for name, alpha in said["operating_points"].items():
        print(f"operating point {name}: alpha {alpha:g}")
    print(f"promise: {said['promise']}\n")
    rows = [[label, *map(str, facts.values())] for label, facts in said["classes"].items()]
    show.print_table(["class", "references", "calibration groups", "state"], rows)
    if table:
        print()
        print_alphas(table)
    _print_history(said)


def about(index: Index) -> dict[str, Any]:
    """What an index is, as plain data."""
    promise, settings = index.promise, index.settings
    classes = {
        label: {
            "references": n,
            "groups": promise.groups.get(label, 0),
            "state": f"uncalibrated: {promise.uncalibrated[label]}" if label in promise.uncalibrated else "calibrated",
        }
        for label, n in index.references.class_sizes.items()
    }
    return {
        **settings.written(),
        "engine": index.engine,
        "model": index.model_digest,
        "references": len(index),
        "classes": classes,
        "promise": str(promise),
        "way": promise.way,
        "stale": list(promise.stale),
        "history": [asdict(event) for event in index.history],
        "drift": [
            {"day": row.period, "alpha": row.alpha, "flagged": row.load.flagged, **row.load.counts}
            for row in index.drift()
        ],
    }


def print_alphas(table: Sequence[AlphaRow]) -> None:
    """What each alpha costs: false flags a class, and what would become of the images that were asked about."""
    asked = ["looked at by a person", *ReviewLoad.NAMES] if table and table[0].load else []
    show.print_table(
        ["alpha", "own images flagged, of 100 (95% range)", *asked, "cannot flag"], map(_alpha_line, table)
    )


def _alpha_line(row: AlphaRow) -> list[str]:
    load = [] if row.load is None else [f"{100 * row.load.share:.0f}%", *map(str, row.load.counts.values())]
    flags = [f"{label}: {_flags_text(found)}" for label, found in row.false_flags.items()]
    unable: dict[str, list[str]] = {}
    for label, why in row.cannot_flag.items():
        unable.setdefault(why, []).append(label)
    return [
        f"{row.alpha:g}",
        listing(flags),
        *load,
        "; ".join(f"{listing(labels)}: {why}" for why, labels in unable.items()),
    ]


def _flags_text(found: FalseFlags) -> str:
    """Of a hundred images: how many on average, and between which in 95%; or what that is at most."""
    if found.low is None or found.high is None:
        return f"at most {100 * found.expected:.1f}"
    return f"{100 * found.expected:.1f} ({100 * found.low:.0f} to {100 * found.high:.0f})"


def _print_history(said: Mapping[str, Any]) -> None:
    if said["history"]:
        print("\nlast changes:")
    for event in said["history"][-SHOWN:]:
        details = ", ".join(f"{name} {value}" for name, value in event["details"].items())
        print(f"  {event['when']}  {event['call']} {event['n']}  {details}")
    if said["drift"]:
        print("\nrecorded answers:")
        rows = [
            [d["day"], f"{d['flagged']:.3f}", f"{d['alpha']:g}", *(str(d[name]) for name in ReviewLoad.NAMES)]
            for d in said["drift"]
        ]
        show.print_table(["day", "flagged unknown", "alpha", *ReviewLoad.NAMES], rows)


def remove(
    path: Path,
    *,
    ids: Sequence[int] | None,
    labels: Sequence[str] | None,
    groups: Sequence[str] | None,
    plugins: Sequence[Path],
    as_json: bool,
) -> None:
    """`nearkin index remove`."""
    asked = one_of({"--id": ids, "--label": labels, "--group": groups})
    with show.busy(f"changing {path}"), _edit(path, plugins) as index:
        gone = index.remove(**asked)
    tell(index, f"removed {references(gone)}", as_json, removed=gone)


def relabel(
    path: Path,
    to: str,
    *,
    ids: Sequence[int] | None,
    labels: Sequence[str] | None,
    groups: Sequence[str] | None,
    plugins: Sequence[Path],
    as_json: bool,
) -> None:
    """`nearkin index relabel`."""
    asked = one_of({"--id": ids, "--label": labels, "--group": groups})
    with show.busy(f"changing {path}"), _edit(path, plugins) as index:
        changed = index.relabel(to, **asked)
    tell(index, f"relabelled {references(changed)} {to!r}", as_json, relabelled=changed)


def one_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """The one option that was given, as the index's methods name it."""
    found = {f"{name.removeprefix('--')}s": value for name, value in given.items() if value}
    if len(found) != 1:
        raise UsageError(f"give exactly one of {', '.join(given)}.")
    return found


def merge(
    path: Path, other: Path, *, renumber: bool, keep_calibration: bool, plugins: Sequence[Path], as_json: bool
) -> None:
    """`nearkin index merge`."""
    with show.busy(f"merging {other} into {path}"), _edit(path, plugins) as index:
        theirs = opened(index_folder(other), plugins)
        moved = index.merge(theirs, renumber=renumber, keep_calibration=keep_calibration)
    copies = index.history[-1].details["copies"]
    if copies:
        show.message(
            f"{copies} of them are of images that were references before: they count twice among neighbours, "
            "and once when a class is calibrated."
        )
    ids = {str(old): new for old, new in moved.items()}
    tell(index, f"merged {references(len(moved))}", as_json, ids=ids, copies=copies)


def verify(path: Path, *, plugins: Sequence[Path], as_json: bool) -> None:
    """`nearkin index verify`."""
    folder = index_folder(path)
    checks = [{"what": "every file is as it was written", "problem": ""}]
    with show.busy(f"checking {path}"):
        checks += [asdict(check) for check in opened(folder, plugins).verify()]
    if as_json:
        show.print_json(checks)
    else:
        for check in checks:
            print(f"{'ok   ' if not check['problem'] else 'WRONG'} {check['what']}")
    wrong = [f"{check['what']}: {check['problem']}" for check in checks if check["problem"]]
    if wrong:
        raise DamagedError(f"{folder}: " + "\n".join(wrong))


def export(path: Path, output: Path, *, plugins: Sequence[Path], as_json: bool) -> None:
    """`nearkin index export`."""
    with show.busy(f"writing {output}"):
        index = opened(index_folder(path), plugins)
        index.export(output)
    if as_json:
        show.print_json({"path": str(output), "references": len(index)})
    else:
        print(output)


def opened(folder: Path, plugins: Sequence[Path]) -> Index:
    """Without its model; engine and outlier score may be a plugin's."""
    return load(folder, **saved_parts(load_registries(files=plugins)))


def _edit(path: Path, plugins: Sequence[Path]) -> AbstractContextManager[Index]:
    folder = index_folder(path)
    return edit(folder, lambda: opened(folder, plugins))


def references(n: int) -> str:
    """`1 reference`, `2 references`"""
    return f"{n} reference{'' if n == 1 else 's'}"


CALIBRATED_AGAIN: Mapping[Way, str] = {
    "held_out": "'nearkin index calibrate INDEX' does it.",
    "leave_one_group_out": "'nearkin index calibrate INDEX' does it, on the references that calibrated before; with "
    "--on-references those that were added calibrate too.",
    "cross_conformal": "Its folds' models stand on the references that they were trained with: train anew, or "
    "calibrate all classes on held-out images, 'nearkin index calibrate INDEX IMAGES'.",
}
"""What makes stale classes fresh, by the way that the index was calibrated."""


def tell(index: Index, done: str, as_json: bool, **facts: Any) -> None:
    """What was done, what the index holds now, and what to calibrate again."""
    promise = index.promise
    if as_json:
        show.print_json({**facts, "references": len(index), "stale": list(promise.stale)})
        return
    classes = f"{len(index.labels)} class{'' if len(index.labels) == 1 else 'es'}"
    print(f"{done}; the index holds {references(len(index))} of {classes}.")
    if promise.stale and index.way:
        show.message(f"to be calibrated again: {listing(map(repr, promise.stale))}. {CALIBRATED_AGAIN[index.way]}")
