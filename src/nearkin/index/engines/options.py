"""What the built-in engines may be told."""

from __future__ import annotations

from nearkin.contracts import Options


class FlatOptions(Options):
    """Nothing: it looks at every reference."""
