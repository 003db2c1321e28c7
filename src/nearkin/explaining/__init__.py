"""Where the network looks: which regions of an image made it near another image, or near a class."""

from __future__ import annotations

from nearkin.explaining.explain import Explanation, explain, explain_prepared
from nearkin.explaining.picture import overlay

__all__ = ["Explanation", "explain", "explain_prepared", "overlay"]
