"""The map laid over the image, for a person to look at."""

from __future__ import annotations

import numpy as np
from PIL import Image

from nearkin.explaining.explain import Explanation

LEAST = 256
"""Pixels of the shorter side: small images grow."""
HEAT = np.array([1.0, 0.25, 0.0], dtype=np.float32)
STRENGTH = 0.65


def overlay(explanation: Explanation) -> Image.Image:
    """The image in gray, and over it, in red, the regions that made the likeness; the image alone to its left."""
    gray = explanation.image.mean(axis=0)
    heat = explanation.map / max(float(explanation.map.max()), 1e-12)
    plain = np.repeat(gray[:, :, None], 3, axis=2)
    weight = STRENGTH * heat[:, :, None]
    both = np.concatenate([plain, plain * (1 - weight) + HEAT * weight], axis=1)
    picture = Image.fromarray((np.clip(both, 0, 1) * 255).round().astype(np.uint8))
    factor = max(1, -(-LEAST // min(gray.shape)))
    return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)
