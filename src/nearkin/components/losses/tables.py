"""The facts of pytorch-metric-learning that table.json holds, read without the library."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeAlias

from nearkin.components.losses.entries import REQUIRED, Entry, PartKind, Slot

TABLE = Path(__file__).with_name("table.json")
Kind: TypeAlias = PartKind | Literal["loss"]
FLAGS = ("mines", "memory", "learns")


@cache
def tables() -> Mapping[Kind, Mapping[str, Entry]]:
    """The entries of losses, and of each kind of part, by their names in recipes."""
    read = json.loads(TABLE.read_text(encoding="utf-8"))
    return {kind: {name: from_json(said) for name, said in table.items()} for kind, table in read.items()}


def as_json(entry: Entry) -> dict[str, Any]:
    """An entry as the table holds it: what is empty or false is left out."""
    said: dict[str, Any] = {
        "library": entry.library,
        "required": [name for name, default in entry.arguments.items() if default is REQUIRED],
        "arguments": {name: default for name, default in entry.arguments.items() if default is not REQUIRED},
        "given": dict(entry.given),
        "takes": list(entry.takes),
        **{flag: getattr(entry, flag) for flag in FLAGS},
        **{f"slot {key}": _slot_json(slot) for key, slot in entry.slots.items()},
    }
    return {key: value for key, value in said.items() if value}


def _slot_json(slot: Slot) -> dict[str, Any]:
    return {"kind": slot.kind, "accepts": slot.accepts, "default": slot.default}


def from_json(said: Mapping[str, Any]) -> Entry:
    """The reverse of `as_json`."""
    slots = {key.removeprefix("slot "): _slot(value) for key, value in said.items() if key.startswith("slot ")}
    return Entry(
        library=said["library"],
        arguments={**dict.fromkeys(said.get("required", ()), REQUIRED), **said.get("arguments", {})},
        given=said.get("given", {}),
        slots=slots,
        takes=tuple(said.get("takes", ())),
        **{flag: said.get(flag, False) for flag in FLAGS},
    )


def _slot(said: Mapping[str, Any]) -> Slot:
    accepts = {name: None if arguments is None else tuple(arguments) for name, arguments in said["accepts"].items()}
    return Slot(said["kind"], accepts, said["default"])
