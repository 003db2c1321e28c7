"""What the built-in backbones may be told."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from nearkin.contracts import Options


class ConvOptions(Options):
    """Options of conv4 and conv2."""

    image_size: Annotated[int, Field(ge=16, le=1024)] = 28
    """Height and width in pixels that every image is brought to."""
    channels: Literal[1, 3] = 1
    """1 for gray, 3 for colour."""
    width: Annotated[int, Field(ge=1, le=1024)] = 64
    """Channels of every block."""
    embedding_dim: Annotated[int, Field(ge=1, le=4096)] | None = None
    """A linear layer to this many dimensions. Left out: the last block's channels as they are, as in the papers."""
