"""Whether timm can work beside the installed torch, told without importing either."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, requires, version

NEEDED = ("torch", "torchvision", "timm")


def require_compatible() -> None:
    """`RuntimeError` that says what is missing, or which torch the installed torchvision was built for."""
    missing = [name for name in NEEDED if _version(name) is None]
    if missing:
        raise RuntimeError(f"{' and '.join(missing)} not installed: pip install {' '.join(missing)}")
    wanted, found = built_for(requires("torchvision") or []), _plain(version("torch"))
    if wanted is not None and wanted != found:
        raise RuntimeError(
            f"torchvision {version('torchvision')} was built for torch {wanted} and does not import beside the torch "
            f"{found} that is installed: install torch=={wanted}, or the torchvision made for torch {found}"
        )


def built_for(requirements: list[str]) -> str | None:
    """The torch that torchvision's own metadata pins: `torch==2.14.1` -> `2.14.1`."""
    pins = (re.match(r"torch\s*\(?==\s*([\w.]+)", line) for line in requirements)
    return next((pin.group(1) for pin in pins if pin), None)


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _plain(told: str) -> str:
    """`2.13.0+cpu` -> `2.13.0`."""
    return told.partition("+")[0]
