"""What unquoted YAML means: the core schema of YAML 1.2 (section 10.3.2), one table for reader and writer."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

Scalar: TypeAlias = str | int | float | bool | None

CORE_SCHEMA: tuple[tuple[str, re.Pattern[str], Callable[[str], Scalar]], ...] = (
    ("tag:yaml.org,2002:null", re.compile(r"(?:~|null|Null|NULL|)\Z"), lambda text: None),
    ("tag:yaml.org,2002:bool", re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z"), lambda text: text[0] in "tT"),
    ("tag:yaml.org,2002:int", re.compile(r"[-+]?[0-9]+\Z"), int),
    ("tag:yaml.org,2002:int", re.compile(r"0o[0-7]+\Z"), lambda text: int(text[2:], 8)),
    ("tag:yaml.org,2002:int", re.compile(r"0x[0-9a-fA-F]+\Z"), lambda text: int(text[2:], 16)),
    (
        "tag:yaml.org,2002:float",
        re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z"),
        float,
    ),
    (
        "tag:yaml.org,2002:float",
        re.compile(r"(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z"),
        lambda text: float(text.replace(".", "")),
    ),
)
"""Tag, pattern, meaning; the first that matches holds. All else is text: `no`, `2024-01-01`, `1:30`, `1_000`."""


def plain_value(text: str) -> Scalar:
    """What unquoted text means. `ValueError` for a whole number of thousands of digits (Python's own limit)."""
    return next((meaning(text) for _, pattern, meaning in CORE_SCHEMA if pattern.match(text)), text)
