"""PNG files that commands write: never over a file that is not one of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nearkin.errors import UsageError

if TYPE_CHECKING:
    from PIL.Image import Image

MARK, OURS = "Software", "nearkin"
"""A PNG keyword and its text, written into each picture, so that it may be written anew, and a photograph of that name
is left alone."""


def refuse_picture(option: str, path: Path, what: str) -> None:
    """`UsageError` where `path` is no PNG file's name, or there is a file that no command of nearkin drew."""
    if path.suffix.lower() != ".png":
        raise UsageError(f"{option} {path}: {what} is a PNG file; end its name in .png.")
    if path.exists() and not _ours(path):
        raise UsageError(f"{option} {path}: exists already, and is no picture of nearkin's. Choose another name.")


def save_picture(picture: Image, path: Path) -> None:
    """Write it, marked."""
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text(MARK, OURS)
    picture.save(path, format="PNG", pnginfo=info)


def _ours(path: Path) -> bool:
    from PIL import Image

    try:
        with Image.open(path) as picture:
            return bool(picture.info.get(MARK) == OURS)
    except (OSError, SyntaxError, ValueError):  # no picture at all, or a broken one
        return False
