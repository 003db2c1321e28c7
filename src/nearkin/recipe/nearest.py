"""The nearest valid name, a name's beginning counting as much as the whole of it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from nearkin import errors


def did_you_mean(name: str, valid: Iterable[str]) -> str:
    """` Did you mean 'x'?`: by the whole name, else by its beginning, so that `tripelt` finds `triplet_margin`."""
    names = sorted(valid)
    if whole := errors.did_you_mean(name, names):
        return whole
    beginnings = {known[: len(name)]: known for known in reversed(names)}
    near = difflib.get_close_matches(name, beginnings, n=1, cutoff=0.75) if len(name) > 3 else []
    return f" Did you mean {beginnings[near[0]]!r}?" if near else ""
