"""Which metric of the index ranks as a distance of the library does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nearkin.contracts import Comparison, Metric, Normalize


def compared(distance: Mapping[str, Any]) -> Comparison:
    """A distance, every argument filled in, in the index's terms."""
    normalize = _normalize(distance)
    return Comparison(_said(distance), _metric(distance), normalize)


def _metric(distance: Mapping[str, Any]) -> Metric | None:
    """A power changes no ranking, unless it is even and similarities may be negative."""
    if distance["type"] == "lp":
        return {1: "l1", 2: "l2"}.get(distance["p"])  # type: ignore[return-value]
    odd = distance["power"] % 2 == 1
    if distance["type"] == "cosine" and odd:
        return "cosine"
    if distance["type"] == "dot_product" and odd and distance["normalize_embeddings"] and distance["p"] == 2:
        return "cosine"
    return None


def _normalize(distance: Mapping[str, Any]) -> Normalize:
    """The library normalises by the norm of the distance's own p."""
    if not distance.get("normalize_embeddings", True):
        return False
    return "l1" if distance.get("p") == 1 else True


def _said(distance: Mapping[str, Any]) -> str:
    told = ", ".join(f"{key} {_word(value)}" for key, value in distance.items() if key != "type")
    return f"the distance {distance['type']} ({told})"


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
